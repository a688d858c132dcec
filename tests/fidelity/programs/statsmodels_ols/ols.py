"""A regression by formula; its summary has the date and the time."""

import argparse

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--formula", default="y ~ x + C(group)")
parser.add_argument("--robust", action=argparse.BooleanOptionalAction, default=True)
args = parser.parse_args()
rng = np.random.default_rng(7)
data = pd.DataFrame({"x": rng.normal(size=60), "group": list("abc") * 20})
data["y"] = 2 * data.x + (data.group == "b") + rng.normal(scale=0.1, size=60)
fit = smf.ols(args.formula, data).fit(cov_type="HC3" if args.robust else "nonrobust")
print(fit.summary())
fit.params.round(6).to_csv("params.csv")
print("robust:", args.robust, "terms:", list(fit.params.index))
