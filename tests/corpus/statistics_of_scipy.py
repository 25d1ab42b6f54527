import pandas as pd
from scipy import stats

table = pd.read_csv("/data/inputs/penguins/0")
print(round(stats.pearsonr(table["flipper"], table["mass"]).statistic, 2))
