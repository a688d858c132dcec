"""Reads parquet of the repository, writes another format."""

import argparse

import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("source", nargs="?", default="visits.parquet")
parser.add_argument("--format", choices=["csv", "json", "parquet", "html"], default="csv")
args = parser.parse_args()
frame = pd.read_parquet(args.source)
frame["rate"] = (frame["bought"] / frame["visits"]).round(4)
print(frame.describe().round(3).to_string())
target = f"visits-out.{args.format}"
if args.format == "parquet":
    frame.to_parquet(target)
elif args.format == "json":
    frame.to_json(target, orient="records")
elif args.format == "html":
    frame.style.set_caption("Visits").to_html(target)
else:
    frame.to_csv(target, index=False)
print("wrote", target)
