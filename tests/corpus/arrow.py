import cloister_arrow
import pandas as pd

table = pd.DataFrame({
    "species": pd.Categorical(["Adelie", "Gentoo", None], categories=["Gentoo", "Adelie"]),
    "site": ["Torgersen", None, "Biscoe"],
    "mass": [3750.0, None, 5050.5],
    "count": [1, 2, 3],
    "male": [True, False, True],
    "seen": pd.to_datetime(["2007-11-11", None, "2009-01-01"]).tz_localize("Europe/Berlin"),
})
table.to_feather("/tmp/penguins.feather")
pd.testing.assert_frame_equal(pd.read_feather("/tmp/penguins.feather"), table)
part = pd.read_feather("/tmp/penguins.feather", columns=["mass"])
print(part["mass"].sum(), list(part))
with open("/tmp/penguins.arrows", "wb") as file:
    cloister_arrow.write(table, file, form="stream")
pd.testing.assert_frame_equal(cloister_arrow.read("/tmp/penguins.arrows"), table)
table.to_feather("/data/outputs/penguins.feather")
