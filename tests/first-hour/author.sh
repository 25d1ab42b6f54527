#!/bin/sh
# An author's first hour, with what docs/writing-algorithms.md and docs/consumers.md tell: from nothing to a published program
# that has run on a service.
#
#   author.sh ADDRESS rust|go|c|python|javascript
#
# In the folder: bob.key (author) from the operator. The service has the dataset alice/penguins, which allows algorithms that are
# published there. The compiler is where the template's Makefile looks for it.
set -eu
. "$(dirname -- "$0")/milestones.sh"
service=$1 language=$2

cloister login --url "$service" --key bob.key
cloister algorithm new "$language" rows
cd rows
make
milestone "made and built a program in $language"
make test
cmp results/rows.json expected/rows.json
milestone 'tested it on this machine'

cloister algorithm apply -f algorithm.yaml
cloister job submit --dataset alice/penguins --algorithm rows --dry-run
cloister run rows --dataset alice/penguins --label 'first try' --dir answer
grep 344 answer/rows.json
milestone 'published it and ran it on a service'

# The test of the template can fail.
printf 'a\n1\n' >data/sample.csv
fails 2 make test
