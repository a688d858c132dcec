"""Fit y = 3x + 2 by gradient descent. Standard library only; knows nothing of Launch Jobs but one folder's name."""

import argparse
import json
import os
import random
from pathlib import Path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    if args.learning_rate <= 0:
        raise SystemExit("the learning rate must be positive")

    random.seed(0)
    points = [(x / 50 - 1, 3 * (x / 50 - 1) + 2 + random.gauss(0, 0.1)) for x in range(101)]
    slope = intercept = 0.0
    for step in range(args.steps):
        errors = [(x, slope * x + intercept - y) for x, y in points]
        slope -= args.learning_rate * sum(error * x for x, error in errors) / len(points)
        intercept -= args.learning_rate * sum(error for _, error in errors) / len(points)
        if step % 50 == 0:
            print(f"step {step}: slope {slope:.3f}, intercept {intercept:.3f}", flush=True)

    loss = sum((slope * x + intercept - y) ** 2 for x, y in points) / len(points)
    out = Path(os.environ.get("LAUNCH_OUTPUT_DIR", "."))
    (out / "model.json").write_text(json.dumps({"slope": slope, "intercept": intercept}))
    (out / "metrics.json").write_text(json.dumps({"loss": round(loss, 5)}))
    print(f"loss {loss:.5f}")


if __name__ == "__main__":
    main()
