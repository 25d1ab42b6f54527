import pandas as pd
import statsmodels.formula.api as smf

table = pd.read_csv("/data/inputs/penguins/0")
fitted = smf.ols("mass ~ flipper", table).fit()
open("/data/outputs/summary.txt", "w").write(str(fitted.summary()))
