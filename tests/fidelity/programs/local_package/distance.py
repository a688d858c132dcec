"""A package of the repository, installed (not editable); its plugins are found by entry points."""

import argparse
from importlib.metadata import entry_points, version

norms = {point.name: point for point in entry_points(group="mathkit.norms")}
parser = argparse.ArgumentParser()
parser.add_argument("--norm", choices=sorted(norms), default="l1")
args = parser.parse_args()
print("mathkit", version("mathkit"), sorted(norms))
print(f"{args.norm}: {norms[args.norm].load()([3, -4]):.2f}")
