import zipfile

with zipfile.ZipFile("/data/outputs/results.zip", "w", zipfile.ZIP_DEFLATED) as results:
    results.writestr("a.csv", "x,y\n1,2\n")
