"""Least squares with what a configuration file says; dataclasses hold it."""

import argparse
import csv
import dataclasses
import tomllib


@dataclasses.dataclass(frozen=True)
class Fit:
    degree: int
    ridge: float = 0.0


parser = argparse.ArgumentParser()
parser.add_argument("--config", default="config/train.toml")
parser.add_argument("--ridge", type=float)
args = parser.parse_args()
with open(args.config, "rb") as file:
    config = tomllib.load(file)
fit = Fit(**config["fit"])
if args.ridge is not None:
    fit = dataclasses.replace(fit, ridge=args.ridge)
with open(config["data"]["path"], newline="") as file:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
n = len(points)
mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
slope = sum((x - mx) * (y - my) for x, y in points) / (sum((x - mx) ** 2 for x, _ in points) + fit.ridge)
print(fit)
print(f"y = {my - slope * mx:.4f} + {slope:.4f} x")
