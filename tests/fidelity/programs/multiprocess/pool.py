"""Counts primes in parallel processes."""

import argparse
import multiprocessing
import os


def primes(bounds):
    low, high = bounds
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(low, 2), high))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start", choices=["fork", "spawn", "forkserver"], default="fork")
    args = parser.parse_args()
    parts = [(low, low + 1000) for low in range(0, 5000, 1000)]
    with multiprocessing.get_context(args.start).Pool(args.workers) as pool:
        counts = pool.map(primes, parts)
    print(f"{args.start}: {counts}, together {sum(counts)}")
    print("own process:", os.getpid() > 0)
