"""Draws, finds edges, saves a picture; a class of __main__ is pickled, and read again."""

import argparse
import pickle
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw


@dataclass
class Found:
    method: str
    edges: int


parser = argparse.ArgumentParser()
parser.add_argument("--method", choices=["canny", "contours"], default="canny")
parser.add_argument("--size", type=int, nargs=2, default=[48, 32], metavar=("W", "H"))
args = parser.parse_args()
picture = Image.new("L", args.size)
ImageDraw.Draw(picture).ellipse((8, 8, 28, 24), fill=255)
pixels = np.asarray(picture)
if args.method == "canny":
    edges = cv2.Canny(pixels, 50, 150)
else:
    contours, _ = cv2.findContours(pixels.copy(), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    edges = cv2.drawContours(np.zeros_like(pixels), contours, -1, 255)
Image.fromarray(edges).save("edges.png")
with open("found.pkl", "wb") as file:
    pickle.dump(Found(args.method, int((edges > 0).sum())), file)
with open("found.pkl", "rb") as file:
    print(pickle.load(file))
