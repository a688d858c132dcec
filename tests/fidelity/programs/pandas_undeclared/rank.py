"""pandas alone is imported; parquet needs pyarrow, which nothing here names."""

import argparse

import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--to", choices=["csv", "parquet"], default="csv")
args = parser.parse_args()
frame = pd.read_csv("scores.csv").sort_values("score", ascending=False)
print(frame.to_string(index=False))
getattr(frame, f"to_{args.to}")(f"ranked.{args.to}", index=False)
print(f"ranked.{args.to}")
