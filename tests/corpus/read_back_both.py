with open("/data/outputs/result.txt", "w+") as out:
    out.write("written")
    out.seek(0)
    print(out.read())
