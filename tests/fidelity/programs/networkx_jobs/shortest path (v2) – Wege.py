"""A name with blanks, brackets and a dash; joblib's processes; networkx with its lazily imported parts."""

import argparse
import json
import sys

import networkx as nx
from joblib import Parallel, delayed


def distance(graph, pair):
    return pair, nx.shortest_path_length(graph, *pair, weight="weight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", default="distance", choices=["distance", "rank"])
    parser.add_argument("--pairs", action="append", type=lambda text: tuple(text.split("-")))
    args = parser.parse_args()
    graph = nx.Graph()
    graph.add_weighted_edges_from(json.load(open("roads.json"))["edges"])
    if args.by == "rank":
        print({name: round(value, 4) for name, value in nx.pagerank(graph).items()})
    for pair, length in Parallel(n_jobs=2)(delayed(distance)(graph, p) for p in args.pairs):
        print(*pair, length)
    print(sys.argv[0].rsplit("/", 1)[-1], file=sys.stderr)
