#!/usr/bin/env python3
"""What a data scientist does with the Python client: from the list of datasets to a table of results.

    python_client.py ADDRESS SERVICE_WITHOUT_ONE

Run in an empty folder with the programs `stats.wasm`, `fails.wasm`, `endless.wasm` and the folder `app`, as an account that has
logged in with `cloister login`. Prints one JSON object with what it saw.
"""

import json
import sys
from pathlib import Path

import cloister_client as cloister

address, nowhere = sys.argv[1:]


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


# The address and the key are those of the current context.
service = cloister.connect()
assert service.whoami()["account"] == "carol" and address in repr(service) and "clk_" not in repr(service), service
names = {(dataset["owner"], dataset["name"]) for dataset in service.datasets()}
assert {("alice", "penguins"), ("alice", "open")} <= names, names
assert service.environments()[0]["profiles"], "environments"

# A key that is found goes to its own service; a wrong one is an error of its own.
refused(cloister.NotSignedIn, lambda: cloister.connect(url=nowhere))
refused(cloister.NotSignedIn, lambda: cloister.connect(url=address, key="clk_0000000000000000_wrong"))
refused(cloister.Unreachable, lambda: cloister.connect(url=nowhere, key="clk_0000000000000000_wrong"))
refused(cloister.CloisterError, lambda: cloister.connect(context="none"))

# Nobody has allowed it: the rules say so, before and when it is submitted.
wanted = {"datasets": ["alice/penguins"], "parameters": {"groupBy": "species"}}
explained = service.explain("bob/column-stats", **wanted)
assert not explained["allowed"] and explained["rules"][0]["rule"] == "algorithm-not-trusted", explained
denied = refused(cloister.Denied, lambda: service.submit("bob/column-stats", **wanted))
assert denied.status == 403 and denied.rules[0]["rule"] == "algorithm-not-trusted" and "trusts" in str(denied), denied
refused(cloister.NotFound, lambda: service.submit("bob/none", **wanted))
refused(cloister.CloisterError, lambda: service.submit("missing.wasm", **wanted))
wrong = refused(cloister.Refused, lambda: service.submit("stats.wasm", datasets="alice/open", label="a\nb"))
assert wrong.status == 422 and wrong.field == "label", wrong

job = service.submit(
    "stats.wasm", datasets=["alice/open"], parameters={"groupBy": "species"}, label="first try", limits={"wallMs": 60_000}
)
assert job.state["label"] == "first try" and "first try" in repr(job), job
assert job.wait(progress=True) is job and job.phase == "Finished", job
assert job.parameters() == {"values": {"groupBy": "species"}, "arguments": [], "stdin": None}, job.parameters()
assert isinstance(job.logs(), str)
assert {result.name for result in job.results()} >= {"statistics.json", "statistics.csv"}, job.results()
statistics = job.result("statistics.json")
groups = [group["group"] for group in statistics.json()[0]["groups"]]
assert groups == ["Adelie", "Chinstrap", "Gentoo"], groups
paths = job.download("results")
assert Path("results/statistics.json").read_bytes() == statistics.read() and len(paths) == len(job.results()), paths
assert job.download("results") == paths, "what is there stays"
Path("results/statistics.csv").write_text("mine")
refused(cloister.CloisterError, lambda: job.download("results"))
assert Path("results/statistics.csv").read_text() == "mine"
refused(cloister.CloisterError, lambda: job.result("none.csv"))
assert job.receipt()["signature"] and job.explain()["phase"] == "Finished"
# Its results are stored, and do not wait for the result store.
stored = refused(cloister.Conflict, job.publish)
assert stored.problem["type"].endswith("not-waiting-for-store") and job.phase == "Finished", stored
assert service.job(job.id).state["id"] == next(service.jobs()).id == job.id

try:
    import pandas
except ImportError:
    refused(cloister.CloisterError, lambda: job.result("statistics.csv").dataframe())
    rows = None
else:
    table = job.result("statistics.csv").dataframe()
    assert isinstance(table, pandas.DataFrame)
    rows = len(table)

failed = refused(cloister.JobFailed, lambda: service.submit("fails.wasm", datasets="alice/open").wait())
assert failed.job["phase"] == "AlgorithmFailed" and "fault: algorithm" in str(failed), failed
endless = service.submit("endless.wasm", datasets="alice/open")
refused(TimeoutError, lambda: endless.wait(timeout=0.5))
stopped = refused(cloister.JobFailed, lambda: endless.stop().wait())
assert stopped.job["phase"] == "Stopped", stopped
endless.delete()
refused(cloister.NotFound, endless.refresh)
# A folder is sent as one archive.
assert len(service.upload("app")["sha256"]) == 64

print(json.dumps({"job": job.id, "sha256": statistics.described["sha256"], "rows": rows}))
