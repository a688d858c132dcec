import numpy as np


def l1(x):
    return float(np.abs(x).sum())


def l2(x):
    return float(np.sqrt((np.asarray(x) ** 2).sum()))
