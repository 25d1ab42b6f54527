import glob, os

for name in ("b.csv", "a.csv"):
    open("/data/outputs/" + name, "w").close()
print(sorted(os.listdir("/data/outputs")), len(glob.glob("/data/outputs/*.csv")), os.path.exists("/data/outputs/a.csv"))
