with open("/data/outputs/result.txt", "w+") as out:
    out.write("first line\n")
    out.seek(0, 2)
    out.write("last line\n")
