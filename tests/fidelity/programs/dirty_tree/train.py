"""Uses a module that was never added to git, and was itself changed since the last commit."""

import argparse

from features import scale

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=float, default=2.0)
args = parser.parse_args()
print([scale(value, args.factor) for value in (1, 2, 3)])
