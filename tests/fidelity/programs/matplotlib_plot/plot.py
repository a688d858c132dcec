"""Draws a figure without a display; the format is a parameter."""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--format", choices=["png", "svg", "pdf"], default="png")
parser.add_argument("--dpi", type=int, default=60)
args = parser.parse_args()
x = np.linspace(0, 10, 200)
figure, axes = plt.subplots(figsize=(4, 3))
axes.plot(x, np.sin(x), label="sin")
axes.plot(x, np.cos(x), label="cos")
axes.set_title("Waves")
axes.legend()
target = f"waves.{args.format}"
figure.savefig(target, dpi=args.dpi)
print("drew", target, plt.get_backend().lower())
