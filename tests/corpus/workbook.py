import pandas as pd

table = pd.read_csv("/data/inputs/penguins/0")
table.describe().to_excel("/data/outputs/summary.xlsx")
with pd.ExcelWriter("/data/outputs/second.xlsx", engine="xlsxwriter") as writer:
    table.to_excel(writer, index=False)
