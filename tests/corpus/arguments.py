import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--mode", default="slow")
parser.add_argument("files", nargs="*")
print(parser.parse_args())
