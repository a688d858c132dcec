"""Optional packages, as many programs treat them."""

import argparse
import sys

try:
    import cupy as xp
except ImportError:
    import numpy as xp
try:
    import ujson as json
except ModuleNotFoundError:
    import json
if sys.version_info < (3, 9):
    import typing_extensions  # noqa: F401
try:
    from tqdm import tqdm
except ImportError:

    def tqdm(values, **_):
        return values


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--frame", choices=["none", "polars"], default="none")
    args = parser.parse_args(argv)
    total = sum(float(xp.sqrt(xp.float64(n))) for n in tqdm(range(20), disable=None))
    print(json.dumps({"backend": xp.__name__, "json": json.__name__, "total": round(total, 9)}))
    if args.frame == "polars":
        import polars as pl

        print(pl.DataFrame({"total": [total]}).select(pl.col("total").round(3)).to_dicts())


if __name__ == "__main__":
    main()
