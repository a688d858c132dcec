import os

import polars as pl

frame = pl.DataFrame({"x": range(8), "y": [n * 1.5 for n in range(8)]})
frame.write_csv(os.path.join(os.environ["OUT"], "data.csv"))
print("prepared", frame.shape)
