import pickle

with open("/data/outputs/model.pkl", "+wb") as out:
    pickle.dump({"weights": [1, 2, 3]}, out)
