"""Gradient descent with jax on the CPU."""

import argparse

import jax
import jax.numpy as jnp

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--method", choices=["sgd", "bfgs"], default="sgd")
args = parser.parse_args()


def loss(w):
    return jnp.sum((w - jnp.arange(3.0)) ** 2)


w = jnp.ones(3) * 4
if args.method == "bfgs":
    from jax.scipy.optimize import minimize

    w = minimize(loss, w, method="BFGS").x
else:
    step = jax.jit(lambda w: w - args.lr * jax.grad(loss)(w))
    for _ in range(args.steps):
        w = step(w)
print(jax.default_backend(), args.method, f"loss {float(loss(w)):.5f}")
