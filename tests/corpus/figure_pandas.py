import pandas as pd

table = pd.read_csv("/data/inputs/penguins/0")
table.plot.scatter(x="flipper", y="mass").get_figure().savefig("/data/outputs/plot.png")
