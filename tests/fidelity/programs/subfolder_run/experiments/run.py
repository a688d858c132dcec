"""Typed in a subfolder: a module and a file of the folder above, an output in one's own."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from common.constants import GRAVITY

parser = argparse.ArgumentParser()
parser.add_argument("--height", type=float, default=10)
args = parser.parse_args()
unit = pathlib.Path("../common/unit.txt").read_text().strip()
speed = (2 * GRAVITY * args.height) ** 0.5
print(f"{speed:.3f} {unit}")
pathlib.Path("out").mkdir(exist_ok=True)
pathlib.Path("out/speed.txt").write_text(f"{speed}\n")
