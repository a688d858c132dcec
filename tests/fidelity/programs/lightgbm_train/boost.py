"""Gradient boosting on made-up data; scikit-learn's own by another value."""

import argparse

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--engine", choices=["lightgbm", "sklearn"], default="lightgbm")
parser.add_argument("--rounds", type=int, default=15)
args = parser.parse_args()
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 5))
y = X[:, 0] * 2 + np.abs(X[:, 1]) + rng.normal(0, 0.1, 400)
if args.engine == "sklearn":
    from sklearn.ensemble import GradientBoostingRegressor

    predicted = GradientBoostingRegressor(n_estimators=args.rounds, random_state=0).fit(X, y).predict(X)
else:
    import lightgbm

    options = {"objective": "regression", "verbose": -1, "seed": 0, "num_threads": 1, "deterministic": True}
    model = lightgbm.train(options, lightgbm.Dataset(X, y), num_boost_round=args.rounds)
    model.save_model("model.txt")
    predicted = model.predict(X)
print(f"{args.engine}: error {np.sqrt(np.mean((predicted - y) ** 2)):.4f}")
