import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
args = parser.parse_args()
with open("prepared.json", "w") as file:
    json.dump([row * row for row in range(args.rows)], file)
print("prepared", args.rows)
