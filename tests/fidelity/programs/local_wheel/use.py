import argparse

import tinymath

parser = argparse.ArgumentParser()
parser.add_argument("--of", type=int, default=5)
args = parser.parse_args()
print(tinymath.__version__, tinymath.triangle(args.of))
