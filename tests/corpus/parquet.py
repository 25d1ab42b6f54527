import pandas as pd

table = pd.DataFrame({
    "species": ["Adelie", None, "Gentoo"],
    "mass": [3750.0, None, 5050.5],
    "count": [1, 2, 3],
    "seen": pd.to_datetime(["2007-11-11", None, "2009-01-01"]),
}, index=pd.Index(["a", "b", "c"], name="site"))
table.to_parquet("/tmp/penguins.parquet")
found = pd.read_parquet("/tmp/penguins.parquet")
pd.testing.assert_frame_equal(found, table)
part = pd.read_parquet("/tmp/penguins.parquet", columns=["count", "mass"])
print(len(part), "rows,", part["mass"].notna().sum(), "without a gap")
table.to_parquet("/data/outputs/penguins.parquet")
