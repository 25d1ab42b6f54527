#!/bin/sh
# A data steward's first hour, with what docs/publishers.md tells: from an empty folder to the first reviewed release.
#
#   steward.sh ADDRESS
#
# In the folder: alice.key (publisher) and bob.key (author) from the operator; penguins.yaml and contract.yaml from
# docs/publishers.md; data/penguins.csv; column-stats.yaml from docs/consumers.md, and column-stats.wasm, which are Bob's.
set -eu
. "$(dirname -- "$0")/milestones.sh"
service=$1

cloister login --url "$service" --key bob.key --context bob
cloister login --url "$service" --key alice.key --context alice
cloister dataset describe data/penguins.csv >schema.yaml
grep species schema.yaml
cloister dataset apply -f penguins.yaml 2>said
cat said
grep 'Sources: 1 of 1 can be read' said
milestone 'published a dataset, with its source looked at'

# A wrong address shows at once, and the dataset can be corrected.
sed 's|{ type: file, path: .*|{ type: url, url: "http://127.0.0.1:1/penguins.csv" }|' penguins.yaml >wrong.yaml
cloister dataset apply -f wrong.yaml 2>said
grep 'Caution: spec.files\[0\]' said
fails 1 cloister dataset check penguins
cloister dataset apply -f penguins.yaml
cloister dataset check penguins
milestone 'corrected a source that cannot be read'

# Bob publishes an algorithm and lets Alice read it. She allows exactly these bytes.
sed 's|^  algorithm:$|&\n    inspectors: [alice]|' column-stats.yaml >inspected.yaml
cloister --context bob algorithm apply -f inspected.yaml
cloister algorithm show bob/column-stats
checksum=$(cloister algorithm show bob/column-stats -o json | sed -n 's/.*"filesChecksum": *"\([0-9a-f]*\)".*/\1/p')
cloister algorithm fetch bob/column-stats --dir review
cloister algorithm inspect bob/column-stats | tee said
grep '^verdict *admitted' said
cloister algorithm inspect --file review/algorithm-0 | cmp - said
echo "$checksum  review/algorithm-0" | sha256sum --check --quiet
cloister dataset allow penguins bob/column-stats --checksum "$checksum"
cloister dataset permissions penguins
cloister algorithm diff bob/column-stats --dataset penguins --kept review
milestone 'read an algorithm, and allowed exactly that'

# She says what may leave, and that she wants to see it first. What she has allowed stays.
{ sed '/^  compute:/d' penguins.yaml; sed 's/^/  /' contract.yaml; } >reviewed.yaml
cloister dataset apply -f reviewed.yaml --dry-run
cloister dataset apply -f reviewed.yaml | tee said
grep 'kept: trust in bob/column-stats' said
milestone 'said what may leave'

job=$(cloister --context bob job submit --dataset alice/penguins --algorithm bob/column-stats --param groupBy=species)
waits() { cloister job review | grep "$job" >waiting; }
eventually waits
grep 'groupBy=species' waiting
cloister job review "$job"
cloister job review "$job" --dir outputs
head -n 3 outputs/statistics.csv
cloister job review "$job" --approve
cloister --context bob job follow "$job"
cloister --context bob job results "$job" --dir answer
cmp outputs/statistics.csv answer/statistics.csv
milestone 'reviewed outputs and released them'

cloister job list --dataset penguins
cloister job receipt "$job" --verify
cloister audit list --dataset penguins --actor bob
cloister dataset report penguins >report.md
grep 'approved by alice' report.md
grep 'statistics.csv' report.md
milestone 'looked at what happened'
