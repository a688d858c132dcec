import statistics


def median_of(values):
    return statistics.median(values)
