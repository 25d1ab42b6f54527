import pandas as pd
from sklearn.ensemble import RandomForestRegressor

table = pd.read_csv("/data/inputs/penguins/0")
model = RandomForestRegressor(n_estimators=5, n_jobs=-1, random_state=0)
model.fit(table[["flipper"]], table["mass"])
print(round(model.score(table[["flipper"]], table["mass"]), 1) > 0)
