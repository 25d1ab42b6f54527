#!/bin/sh
# A data scientist's first hour, with what docs/consumers.md tells: a script of one's own, first on made-up rows on one's own
# machine, then on data that nobody sees.
#
#   scientist.sh ADDRESS
#
# In the folder: bob.key (author) from the operator. The service has the dataset alice/penguins with a schema, which allows raw
# algorithms, and Python; this machine has Python for the sandbox.
set -eu
. "$(dirname -- "$0")/milestones.sh"
service=$1

cloister login --url "$service" --key bob.key
cloister whoami
cloister dataset list --search mass
cloister dataset show alice/penguins
cloister dataset dummy alice/penguins --rows 1000 >dummy.csv
[ "$(wc -l <dummy.csv)" -eq 1001 ]
milestone 'found a dataset, and made up rows of its form'

cat >analysis.py <<'END'
import json, os
from pathlib import Path

import pandas

inputs = Path("/data/inputs")
parameters = json.loads((inputs / "algoCustomData.json").read_text())
did = json.loads(os.environ["DIDS"])[0]
table = pandas.read_csv(inputs / did / "0")
mass = table.groupby(parameters.get("groupBy", "species"))["body_mass_g"].agg(["count", "mean"]).round(1)
mass.to_csv("/data/outputs/mass.csv")
print("groups:", len(mass))
END
sandbox run analysis.py --runtime python --dataset penguins=dummy.csv --outputs try
head -n 2 try/mass.csv
milestone 'ran a pandas script on them, on this machine'

cloister job submit --file analysis.py --dataset alice/penguins --dry-run
cloister run analysis.py --dataset alice/penguins --param groupBy=species --label 'first try' --dir answer
cat answer/mass.csv
milestone 'ran it on the real data'

cloister job list | tee jobs
job=$(awk '/first try/ { print $1 }' jobs)
cloister job show "$job" | tee shown
grep 'parameter  *groupBy=species' shown
cloister job receipt "$job" --verify
milestone 'looked at the job and its receipt'
