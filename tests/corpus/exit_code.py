import sys

sys.exit("no rows match")
