import pandas as pd

table = pd.read_csv("/data/inputs/penguins/0")
print(table["species"].str.upper().value_counts().to_dict())
print(table.groupby("species")["mass"].mean().round(1).to_json())
