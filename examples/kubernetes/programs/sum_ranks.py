"""Add the numbers from 1 to N, each rank its share, as a distributed training adds gradients: by RANK, WORLD_SIZE,
MASTER_ADDR and MASTER_PORT. Knows nothing of Launch Jobs; alone it is a world of one.
"""

import argparse
import json
import os
import socket
import time

RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
PATIENCE_S = 300


def gather_and_tell(share):
    """Rank 0: add up what the others send, and tell each the sum."""
    with socket.create_server(("", int(os.environ["MASTER_PORT"]))) as server:
        server.settimeout(PATIENCE_S)
        others = [server.accept()[0].makefile("rw") for _ in range(WORLD - 1)]
    total = share + sum(int(other.readline()) for other in others)
    for other in others:
        print(total, file=other, flush=True)
    return total


def send_and_hear(share):
    """Every other rank: it may be there before rank 0 is, or before its name is known."""
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            first = socket.create_connection(address, timeout=PATIENCE_S).makefile("rw")
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    print(share, file=first, flush=True)
    return int(first.readline())


def main():
    parser = argparse.ArgumentParser(description="Add the numbers from 1 to N on several nodes")
    parser.add_argument("--numbers", type=int, default=1_000_000)
    args = parser.parse_args()
    share = sum(range(RANK + 1, args.numbers + 1, WORLD))
    print(f"rank {RANK} of {WORLD}, node {os.environ.get('NODE', 'unknown')}: my share is {share}", flush=True)
    total = share
    if WORLD > 1:
        total = gather_and_tell(share) if RANK == 0 else send_and_hear(share)
    print(f"all together: {total}", flush=True)
    if RANK == 0:
        with open("metrics.json", "w") as file:
            json.dump({"sum": total, "ranks": WORLD}, file)


if __name__ == "__main__":
    main()
