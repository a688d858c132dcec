"""Started from another folder than its own: code beside it, its parent put on sys.path, data where it is started."""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from shared import loader  # noqa: E402

import reporting  # noqa: E402  (beside this file)

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--shift", type=float, default=0)
args = parser.parse_args()
values = loader.numbers(args.file)
reporting.report("fit.txt", [value + args.shift for value in values])
