"""Counts the rows of every dataset file: the smallest useful algorithm, standard library only.

Reads   every file of every dataset named in DIDS: CSV with a header line.
Writes  rows.json: {"<did>/<file>": rows}
Params  none
"""

import csv
import json
import os
from pathlib import Path

inputs = Path(os.environ.get("INPUTS", "/data/inputs"))
outputs = Path(os.environ.get("OUTPUTS", "/data/outputs"))

rows = {}
for did in json.loads(os.environ["DIDS"]):
    for path in sorted((inputs / did).iterdir(), key=lambda path: path.name):
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows[f"{did}/{path.name}"] = max(0, sum(1 for row in csv.reader(file) if row) - 1)

(outputs / "rows.json").write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
print(f"counted {len(rows)} file(s), {sum(rows.values())} row(s)")
