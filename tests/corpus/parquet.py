import pandas as pd

pd.DataFrame({"a": [1]}).to_parquet("/data/outputs/a.parquet")
