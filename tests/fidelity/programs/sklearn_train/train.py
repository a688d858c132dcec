"""Trains a classifier on the digits; which one is a parameter."""

import argparse
import json
import os

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def make(name, depth):
    if name == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=20, max_depth=depth, n_jobs=1)
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=depth, random_state=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["tree", "xgboost"], default="tree")
    parser.add_argument("--depth", type=int, default=5)
    args = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = make(args.model, args.depth).fit(X_train, y_train)
    accuracy = float(model.score(X_test, y_test))
    print(f"{args.model}: accuracy {accuracy:.4f}")
    os.makedirs("models", exist_ok=True)
    joblib.dump(model, "models/model.joblib")
    with open("metrics.json", "w") as file:
        json.dump({"accuracy": accuracy}, file)
