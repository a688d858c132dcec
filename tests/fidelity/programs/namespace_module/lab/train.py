"""Run by `python -m lab.train`: packages without __init__.py, relative imports, the model's module by its name."""

import argparse
from importlib import import_module

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="linear")
parser.add_argument("--slope", type=float, default=2.0)
args = parser.parse_args()
model = import_module(f".models.{args.model}", __package__)
print(__package__, [model.predict(x, args.slope) for x in (10, 50, 200)])
