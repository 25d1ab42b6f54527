import os

os.chdir("/tmp")
open("a", "w").write("here")
os.chdir("/data/inputs/penguins")
print(os.getcwd(), len(open("0").readline()))
