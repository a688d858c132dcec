"""Starts itself again by sys.executable, in another folder, and threads that call other programs."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))


def part(values):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "worker.py")],
            input=json.dumps({"values": values}),
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
        )
    return json.loads(done.stdout)["sum"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int, default=2)
    args = parser.parse_args()
    chunks = [list(range(n, 40, args.parts)) for n in range(args.parts)]
    with ThreadPoolExecutor(2) as pool:
        print(args.parts, sum(pool.map(part, chunks)), list(map(sum, chunks)))
    print(subprocess.check_output(["echo", "shell works"], text=True).strip())
