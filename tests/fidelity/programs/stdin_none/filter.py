"""Reads numbers from standard input when there are some, else makes its own."""

import argparse
import random
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
numbers = [float(line) for line in sys.stdin] or [random.Random(args.seed).gauss(0, 1) for _ in range(4)]
print("stdin is a terminal:", sys.stdin.isatty())
print("largest:", round(max(numbers), 6))
print("optimised:", not __debug__, "unbuffered writes go on", file=sys.stderr)
