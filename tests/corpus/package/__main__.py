import importlib.resources

from study import model

print(model.predict(1), importlib.resources.files("study").joinpath("weights.csv").read_text().strip())
