"""Simulated annealing with absl flags."""

import math
import random

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_float("temperature", 2.0, "Where it begins.", lower_bound=0.0)
flags.DEFINE_integer("steps", 200, "How many.")
flags.DEFINE_enum("cooling", "linear", ["linear", "geometric"], "Schedule.")


def main(argv):
    rng = random.Random(3)
    x, t = 4.0, FLAGS.temperature
    for step in range(FLAGS.steps):
        candidate = x + rng.uniform(-0.5, 0.5)
        if candidate**2 < x**2 or rng.random() < math.exp((x**2 - candidate**2) / max(t, 1e-9)):
            x = candidate
        t = t * 0.97 if FLAGS.cooling == "geometric" else FLAGS.temperature * (1 - step / FLAGS.steps)
    print(f"{FLAGS.cooling}: x = {x:.4f}, arguments {argv[1:]}")


if __name__ == "__main__":
    app.run(main)
