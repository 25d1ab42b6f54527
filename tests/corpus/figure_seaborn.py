import pandas as pd
import seaborn as sns

table = pd.read_csv("/data/inputs/penguins/0")
sns.heatmap(table[["flipper", "mass"]].corr(), annot=True).get_figure().savefig("/data/outputs/correlation.png")
