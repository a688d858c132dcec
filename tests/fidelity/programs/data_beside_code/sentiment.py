"""Scores sentences; the vocabulary lies beside the module that reads it, the sentences beside the script."""

import argparse
import os
import tempfile
import time

from model.vocabulary import WORDS

parser = argparse.ArgumentParser()
parser.add_argument("--scale", type=int, default=1)
args = parser.parse_args()
started = time.time()
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "sentences.txt")) as file, tempfile.NamedTemporaryFile("w") as scratch:
    for line in file:
        score = args.scale * sum(WORDS.get(word, 0) for word in line.lower().split())
        scratch.write(line)
        print(f"{score:+d} {line.strip()}")
print(f"took {time.time() - started:.6f} s")
