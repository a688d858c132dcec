"""Imports from src/ by PYTHONPATH; another setting comes from the environment, too."""

import argparse
import logging

from plain.score import score

logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int, default=3)
args = parser.parse_args()
logging.info("scoring %d", args.n)
print("score", score(range(args.n)))
