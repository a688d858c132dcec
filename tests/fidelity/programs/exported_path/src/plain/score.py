def score(values):
    return round(sum(values) / 7, 3)
