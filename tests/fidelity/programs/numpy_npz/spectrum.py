"""The strongest frequencies of a signal in an npz file; by numpy or by scipy."""

import argparse
import importlib

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--backend", choices=["numpy", "scipy"], default="numpy")
parser.add_argument("--top", type=int, default=3)
args = parser.parse_args()
fft = importlib.import_module(f"{args.backend}.fft")
signal = np.load("signal.npz")
power = np.abs(fft.rfft(signal["x"])) ** 2
frequencies = fft.rfftfreq(len(signal["t"]), signal["t"][1] - signal["t"][0])
for index in np.argsort(power)[::-1][: args.top]:
    print(f"{frequencies[index]:7.3f} Hz  {power[index]:10.4f}")
np.save("power.npy", power.round(6))
