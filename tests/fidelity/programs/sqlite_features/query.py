"""A database of the repository, read in one query; pandas by another value."""

import argparse
import sqlite3

parser = argparse.ArgumentParser()
parser.add_argument("--reader", choices=["plain", "pandas"], default="plain")
args = parser.parse_args()
connection = sqlite3.connect("file:sales.db?mode=ro", uri=True)
query = "SELECT city, sum(units) AS units FROM sales GROUP BY city ORDER BY units DESC"
if args.reader == "pandas":
    import pandas as pd

    print(pd.read_sql_query(query, connection).to_string(index=False))
else:
    for city, units in connection.execute(query):
        print(city, units)
connection.close()
