"""What a training step of a GRU is made of, by PyTorch's profiler."""

import cells
import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

STEPS = 10
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear")


def tell(notebook):
    """Profile the GRU of a notebook, and hand over counts and shares."""
    names = cells.names("imdb_gru", notebook)
    model = names["create_model"]()
    optimizer = names["create_optimizer"](model)
    random = np.random.default_rng(0)
    batch = names["batch_size"]
    x = random.integers(0, 30000, size=(batch, 150)).astype(np.int32)
    y = random.integers(0, 2, size=batch).astype(np.int64)

    def step():
        return float(names["train_step"](model, optimizer, x, y))

    alone = cells.seconds(step)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            step()
    operators = [each for each in found.key_averages() if each.key.startswith("aten::")]
    spent = sum(each.self_cpu_time_total for each in found.key_averages())
    products = [each for each in operators if each.key in PRODUCTS]
    state, kernel = torch.rand(batch, 100), torch.rand(100, 300)
    product = cells.seconds(lambda: [torch.mm(state, kernel) for _ in range(1000)]) / 1000
    cells.tell(
        [
            ["operators that a step calls", "count", sum(e.count for e in operators) / STEPS],
            ["of these, matrix products", "count", sum(e.count for e in products) / STEPS],
            [
                "time of a step in matrix products",
                "share",
                sum(each.self_cpu_time_total for each in products) / spent,
            ],
            [
                "150 products of the state, 64 x 100 by 100 x 300, in the time of a step",
                "share",
                150 * product / alone,
            ],
            ["such a product", "gflops", 2 * batch * 100 * 300 / product / 1e9],
        ]
    )
