import argparse

import networkx as nx

parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int, default=4)
args = parser.parse_args()
print(nx.__version__, nx.diameter(nx.path_graph(args.n)))
