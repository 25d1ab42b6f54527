open("/data/outputs/result.txt", "w").write("written")
print(open("/data/outputs/result.txt").read())
