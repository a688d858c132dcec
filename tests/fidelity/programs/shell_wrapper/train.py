import argparse
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--data")
parser.add_argument("--backend", default="plain")
args = parser.parse_args()
random.seed(args.seed)
if args.backend == "duckdb":
    import duckdb

    total = duckdb.sql(f"select sum(y) from '{args.data}'").fetchall()[0][0]
else:
    with open(args.data) as file:
        total = sum(float(line.split(",")[1]) for line in list(file)[1:])
with open(os.path.join(os.environ["OUT"], f"model-{args.seed}.txt"), "w") as file:
    file.write(f"{random.random()} {total}")
print(args.backend, args.seed, total)
