"""What every notebook shares: data, hyper-parameters, weights, reference, checks, timing, record.

    run = common.Run("cifar10_cnn", device="cpu", profile="quick", seed=0)

Needs NumPy alone, from Python 3.6 with NumPy 1.16 to the newest of both.
"""

from .check import CheckFailed
from .run import Run
from .tasks import TASKS
from .weights import check_weights, initial_weights

__all__ = ["TASKS", "CheckFailed", "Run", "check_weights", "initial_weights"]
