with open("/data/outputs/log.txt", "x+") as out:
    out.write("one\n")
with open("/data/outputs/log.txt", "a+") as out:
    out.write("two\n")
