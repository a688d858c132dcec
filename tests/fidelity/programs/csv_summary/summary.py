"""Sums a table by city, with nothing but the standard library."""

import argparse
import collections
import csv
import json
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--input", default="data/sales.csv")
parser.add_argument("--output", default="results/summary.json")
parser.add_argument("--by", choices=["units", "revenue"], default="units")
args = parser.parse_args()

totals = collections.Counter()
with open(args.input, newline="") as file:
    for row in csv.DictReader(file):
        totals[row["city"]] += int(row["units"]) * (float(row["price"]) if args.by == "revenue" else 1)
for city, total in totals.most_common():
    print(f"{city:10} {total}")
path = pathlib.Path(args.output)
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps({"by": args.by, "totals": totals}, indent=1, sort_keys=True))
