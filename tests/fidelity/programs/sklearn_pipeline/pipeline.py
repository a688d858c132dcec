"""Columns of a table through a pipeline; cross-validated in two processes."""

import argparse
import json
import warnings

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--estimator", choices=["logistic", "forest", "svm"], default="logistic")
parser.add_argument("--jobs", type=int, default=2)
args = parser.parse_args()
if args.estimator == "forest":
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(20, random_state=0)
elif args.estimator == "svm":
    from sklearn.svm import SVC

    estimator = SVC()
else:
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression()
table = pd.read_csv("customers.csv")
columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age", "income"]))
model = make_pipeline(columns, estimator)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scores = cross_val_score(model, table.drop(columns="bought"), table["bought"], cv=4, n_jobs=args.jobs)
print(args.estimator, scores.round(4).tolist())
with open("metrics.json", "w") as file:
    json.dump({"mean": round(float(scores.mean()), 6)}, file)
