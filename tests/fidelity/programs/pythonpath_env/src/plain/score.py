import os


def score(values):
    return round(sum(values) * float(os.environ.get("SCALE", "1")), 3)
