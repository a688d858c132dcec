"""Train a classifier on scikit-learn's bundled handwritten digits. Knows nothing of Launch Jobs."""

import argparse
import json
import time

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split


def main():
    parser = argparse.ArgumentParser(description="Train a random forest on handwritten digits")
    parser.add_argument("--n-estimators", type=int, default=100, help="trees in the forest")
    parser.add_argument("--max-depth", type=int, default=None, help="deepest tree; default: no limit")
    parser.add_argument("--test-size", type=float, default=0.25, help="share of the digits kept for the test")
    parser.add_argument("--criterion", choices=["gini", "entropy"], default="gini")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data, digits.target, test_size=args.test_size, random_state=args.seed
    )
    print(f"training {args.n_estimators} trees on {len(x_train)} digits", flush=True)
    started = time.perf_counter()
    model = RandomForestClassifier(
        n_estimators=args.n_estimators, max_depth=args.max_depth, criterion=args.criterion, random_state=args.seed
    )
    model.fit(x_train, y_train)
    accuracy = model.score(x_test, y_test)
    print(f"accuracy {accuracy:.4f}", flush=True)

    joblib.dump(model, "model.joblib")
    with open("metrics.json", "w") as file:
        json.dump({"accuracy": round(accuracy, 4), "seconds": round(time.perf_counter() - started, 3)}, file)


if __name__ == "__main__":
    main()
