import csv, sys

rows = list(csv.DictReader(sys.stdin))
print(len(rows), rows[0]["species"], sys.stdin.isatty())
