"""How far is a model off, on points it has not seen? Reads the model where LAUNCH_DATASET_MODEL says."""

import json
import os
from pathlib import Path


def main():
    model = json.loads(Path(os.environ["LAUNCH_DATASET_MODEL"]).read_text())
    points = [(x / 10, 3 * x / 10 + 2) for x in range(11, 31)]
    worst = max(abs(model["slope"] * x + model["intercept"] - y) for x, y in points)
    Path(os.environ.get("LAUNCH_OUTPUT_DIR", "."), "metrics.json").write_text(json.dumps({"worst": round(worst, 4)}))
    print(f"worst error {worst:.4f}")


if __name__ == "__main__":
    main()
