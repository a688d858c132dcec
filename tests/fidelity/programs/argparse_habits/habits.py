"""All that argparse allows: abbreviations, counts, bundled flags, JSON, sub-parsers, words of no parser."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=True)
parser.add_argument("-v", "--verbose", action="count", default=0)
parser.add_argument("-q", action="store_false", dest="loud")
parser.add_argument("--layers", type=int, nargs=2, default=[])
parser.add_argument("--option", type=json.loads, default={})
parser.add_argument("--learning-rate", "--lr", type=float, default=0.1)
parser.add_argument("--out", type=Path, default=Path("out"))
sub = parser.add_subparsers(dest="what", required=True)
train = sub.add_parser("train")
train.add_argument("steps", type=int)
train.add_argument("--schedule", default="flat")
sub.add_parser("test")
args, rest = parser.parse_known_args()
args.out.mkdir(parents=True, exist_ok=True)
(args.out / "args.json").write_text(json.dumps(vars(args), default=str, sort_keys=True))
print({**vars(args), "out": args.out.as_posix()}, rest)
