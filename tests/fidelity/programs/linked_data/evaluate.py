"""Reads the untracked local settings of its user, which git does not ignore, and a link to the newest data."""

import argparse
import json
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--metric", choices=["mean", "max"], default="mean")
args = parser.parse_args()
settings = json.loads(pathlib.Path("settings.local.json").read_text())
values = [float(line) for line in pathlib.Path("data/newest.txt").read_text().split()]
value = max(values) if args.metric == "max" else sum(values) / len(values)
print(f"{args.metric} {value * settings['scale']:.3f} of {pathlib.Path('data/newest.txt').resolve().name}")
pathlib.Path("cache.tmp").write_text("scratch")
