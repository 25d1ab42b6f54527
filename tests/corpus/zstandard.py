"""A table that the tool `zstd` packed, and one that pandas writes."""
import base64
import pandas as pd
from compression import zstd

PACKED = "KLUv/QRo5QEAtAJzcGVjaWVzLG1hc3MKQWRlbGllLDM3NTAKR2VudG9vLDUwNTA4MDI4NDUwBQCOJdAB5o4y7GU3bjHJLc5lAg=="

with open("/tmp/penguins.csv.zst", "wb") as file:
    file.write(base64.b64decode(PACKED))
table = pd.read_csv("/tmp/penguins.csv.zst")
with zstd.open("/tmp/penguins.csv.zst", "rt") as file:
    print(file.readline().strip(), table.groupby("species")["mass"].sum().to_dict())
table.to_csv("/data/outputs/penguins.csv.zst", index=False)
assert zstd.decompress(zstd.compress(b"penguins")) == b"penguins"
