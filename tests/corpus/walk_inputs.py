import os

for root, folders, files in os.walk("/data/inputs"):
    for name in sorted(files):
        print(os.path.join(root, name), os.path.getsize(os.path.join(root, name)) > 1)
