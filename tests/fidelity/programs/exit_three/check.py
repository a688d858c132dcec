"""Checks thresholds of a quality report; the exit code says how bad it is."""

import argparse
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--limit", type=float, default=0.5)
args = parser.parse_args()
values = [0.4, 0.55, 0.7, 0.91]
bad = [value for value in values if value > args.limit]
print(f"{len(bad)} of {len(values)} are over {args.limit}")
with open("report.txt", "w") as file:
    file.writelines(f"{value}\n" for value in bad)
sys.exit(len(bad))
