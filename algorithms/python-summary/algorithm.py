"""Describes a table by group and tries to predict the group, with pandas and scikit-learn.

An algorithm as it is written for Ocean Protocol's Compute-to-Data; nothing in it knows about WebAssembly.

Reads   the first file of every dataset named in DIDS: CSV with a header line. The tables are put together.
Writes  summary.csv: count, mean, standard deviation, minimum, quartiles and maximum per group and numeric column
        result.json: what was suppressed, and how well a logistic regression and a decision tree predict the group
        from the numeric columns (five-fold cross-validation)
Params  groupBy           the column to describe by and to predict; default "species"
        minimumGroupSize  smaller groups are left out of both results; at least 5, default 10

The folds and the tree are seeded: the same data give the same bytes.
"""

import json
import os
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

INPUTS = Path(os.environ.get("INPUTS", "/data/inputs"))
OUTPUTS = Path(os.environ.get("OUTPUTS", "/data/outputs"))
SEED = 20
SMALLEST_GROUP = 5


def parameters():
    path = INPUTS / "algoCustomData.json"
    text = path.read_text().strip() if path.exists() else ""
    return json.loads(text) if text else {}


def dataset():
    dids = json.loads(os.environ["DIDS"])
    return pd.concat([pd.read_csv(INPUTS / did / "0") for did in dids], ignore_index=True)


def summary(table, group_by, columns, smallest):
    """One row per group and column; cells of fewer than `smallest` values are left out and counted."""
    described = table.groupby(group_by, sort=True)[columns].describe().stack(level=0, future_stack=True)
    described.index.names = ["group", "column"]
    described = described.sort_index()
    enough = described["count"] >= smallest
    described = described[enough].astype({"count": int})
    return described.rename(columns={"std": "sd", "25%": "q1", "50%": "median", "75%": "q3"}), int((~enough).sum())


def accuracies(table, group_by, columns):
    """The share of rows that each model, trained on the other folds, assigns to the right group."""
    complete = table[[group_by, *columns]].dropna()
    target = complete[group_by]
    folds = int(min(5, target.value_counts().min()))
    if target.nunique() < 2 or folds < 2:
        return {"rows": len(complete), "note": "fewer than two groups to tell apart"}
    split = StratifiedKFold(n_splits=folds, shuffle=True, random_state=SEED)
    models = {
        "logisticRegression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "decisionTree": DecisionTreeClassifier(max_depth=4, random_state=SEED),
    }
    result = {"rows": len(complete), "folds": folds, "mostFrequent": round(target.value_counts(normalize=True).max(), 4)}
    for name, model in models.items():
        predicted = cross_val_predict(model, complete[columns], target, cv=split)
        result[name] = round(float((predicted == target).mean()), 4)
    return result


def main():
    params = parameters()
    group_by = params.get("groupBy", "species")
    smallest = params.get("minimumGroupSize", 10)
    if smallest < SMALLEST_GROUP:
        raise SystemExit(f"minimumGroupSize must be {SMALLEST_GROUP} or more, not {smallest}")

    table = dataset()
    if group_by not in table.columns:
        raise SystemExit(f"no column {group_by!r}; the columns are: {', '.join(map(str, table.columns))}")
    columns = [column for column in table.select_dtypes("number").columns if column != group_by]
    sizes = table[group_by].value_counts()
    shown = table[table[group_by].isin(sizes[sizes >= smallest].index)]

    described, suppressed_cells = summary(shown, group_by, columns, smallest)
    described.to_csv(OUTPUTS / "summary.csv", lineterminator="\n", float_format="%.10g")
    result = {
        "groupBy": group_by,
        "columns": columns,
        "groups": sorted(map(str, shown[group_by].unique())),
        "minimumGroupSize": smallest,
        "suppressed": {"groups": int((sizes < smallest).sum()), "columns": suppressed_cells},
        "accuracy": accuracies(shown, group_by, columns),
    }
    (OUTPUTS / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"described {len(result['groups'])} group(s) by {len(columns)} column(s)")


if __name__ == "__main__":
    main()
