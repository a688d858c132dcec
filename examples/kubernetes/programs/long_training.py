"""Stands for a training of hours on all GPUs of a node, which is taken from it when something urgent comes."""

import argparse
import json
import os
import time


def main():
    parser = argparse.ArgumentParser(description="Train for a while")
    parser.add_argument("--hours", type=float, default=1, help="how long a first attempt takes")
    parser.add_argument("--again-seconds", type=float, default=3, help="how long later ones take: they end the demo")
    args = parser.parse_args()
    attempt = int(os.environ.get("LAUNCH_ATTEMPT", "1"))
    seconds = args.hours * 3600 if attempt == 1 else args.again_seconds
    print(f"attempt {attempt}: training on the GPUs {os.environ.get('NVIDIA_VISIBLE_DEVICES')}", flush=True)
    step, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        step += 1
        print(f"step {step}", flush=True)
    with open("metrics.json", "w") as file:
        json.dump({"steps": step}, file)


if __name__ == "__main__":
    main()
