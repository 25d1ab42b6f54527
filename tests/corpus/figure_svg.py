import matplotlib.pyplot as plt
import pandas as pd

table = pd.read_csv("/data/inputs/penguins/0")
plt.scatter(table["flipper"], table["mass"])
plt.xlabel("flipper length [mm]")
plt.savefig("/data/outputs/figure.svg")
