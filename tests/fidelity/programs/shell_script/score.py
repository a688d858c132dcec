import json
import sys

import numpy as np

rows = np.array(json.load(open("prepared.json")))
print("score", rows.mean(), *sys.argv[1:])
