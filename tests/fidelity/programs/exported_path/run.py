"""Imports from src/, which an exported PYTHONPATH names."""

import argparse

from plain.score import score

parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int, default=3)
args = parser.parse_args()
print("score", score(range(args.n)))
