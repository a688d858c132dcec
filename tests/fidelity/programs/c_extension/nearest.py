"""Finds the nearest neighbour with a C function of the project's own."""

import argparse

import fastdist

parser = argparse.ArgumentParser()
parser.add_argument("--point", type=float, default=2.6)
args = parser.parse_args()
points = [0.5, 1.0, 2.5, 4.0]
best = min(points, key=lambda point: fastdist.squared(point, args.point))
print(f"nearest to {args.point}: {best}")
