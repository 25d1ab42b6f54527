import json

with open("/data/inputs/algoCustomData.json") as file:
    print(json.load(file))
