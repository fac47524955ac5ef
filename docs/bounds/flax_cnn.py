"""Where the time of JAX's convolutions goes: forward, and the two gradients."""

import cells
import jax
import numpy as np
from jax import lax

BATCH = 64


def convolution(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def rates(size, inputs, outputs):
    """Return GFLOP/s of a convolution 3 x 3, of its inputs' gradient and of its kernel's."""
    random = np.random.default_rng(0)
    x = jax.device_put(random.normal(size=(BATCH, size, size, inputs)).astype(np.float32))
    kernel = jax.device_put(random.normal(size=(3, 3, inputs, outputs)).astype(np.float32))
    y = jax.device_put(random.normal(size=(BATCH, size, size, outputs)).astype(np.float32))
    forward = jax.jit(convolution)
    by_inputs = jax.jit(lambda x, y: jax.vjp(lambda x: convolution(x, kernel), x)[1](y))
    by_kernel = jax.jit(lambda kernel, y: jax.vjp(lambda k: convolution(x, k), kernel)[1](y))
    flops = 2 * BATCH * size * size * 9 * inputs * outputs
    calls = {
        "forward": lambda: jax.block_until_ready(forward(x, kernel)),
        "gradient of the inputs": lambda: jax.block_until_ready(by_inputs(x, y)),
        "gradient of the kernel": lambda: jax.block_until_ready(by_kernel(kernel, y)),
    }
    return {name: flops / cells.seconds(call) / 1e9 for name, call in calls.items()}


def main():
    rows = []
    for name, shape in {"conv2": (32, 50, 50), "conv4": (16, 100, 100)}.items():
        rows += [[f"{name}, {what}", "gflops", rate] for what, rate in rates(*shape).items()]
    cells.tell(rows)


main()
