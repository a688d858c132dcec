def scale(value, factor):
    return value * factor + 0.5
