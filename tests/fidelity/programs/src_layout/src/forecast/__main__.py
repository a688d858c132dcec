"""`python -m forecast`: a moving average over a small series."""

import argparse
import importlib.metadata

from forecast.series import SERIES
from forecast.smoothing import mean_of


def main():
    parser = argparse.ArgumentParser(prog="forecast")
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--method", choices=["mean", "median"], default="mean")
    args = parser.parse_args()
    if args.method == "median":
        from forecast.robust import median_of as method
    else:
        method = mean_of
    print("forecast", importlib.metadata.version("forecast"))
    for start in range(len(SERIES) - args.window + 1):
        print(f"{method(SERIES[start : start + args.window]):.2f}")


if __name__ == "__main__":
    main()
