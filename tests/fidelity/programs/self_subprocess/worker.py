import json
import sys

import networkx

job = json.load(sys.stdin)
print(json.dumps({"sum": sum(job["values"]), "networkx": networkx.__name__}))
