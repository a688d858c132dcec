"""An untracked csv through polars and duckdb into parquet."""

import argparse

import duckdb
import polars as pl

parser = argparse.ArgumentParser()
parser.add_argument("--minimum", type=float, default=5)
parser.add_argument("--engine", choices=["polars", "duckdb"], default="polars")
args = parser.parse_args()
orders = pl.read_csv("orders.csv", try_parse_dates=True)
if args.engine == "polars":
    kept = orders.filter(pl.col("amount") >= args.minimum).sort("day", "city")
else:
    found = duckdb.sql(f"select * from 'orders.csv' where amount >= {args.minimum} order by day, city")
    kept = pl.DataFrame(found.fetchall(), schema=orders.schema, orient="row")
kept.write_parquet("kept.parquet")
print(kept.group_by("city").agg(pl.col("amount").sum()).sort("city"))
