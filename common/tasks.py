"""The three tasks as numbers: hyper-parameters, the work of each profile, the cost of a step."""

from collections import OrderedDict, namedtuple

Profile = namedtuple("Profile", "epochs steps test_examples")
Profile.__doc__ = """How much of a task is run.

epochs: stretches of training that are timed one by one; steps: training steps in each, or None for
the whole training set; test_examples: how many of the test set are evaluated, or None for all.
"""

Task = namedtuple(
    "Task",
    "name unit dataset batch_size classes profiles steps hyper_parameters "
    "flops_per_example inference_flops_per_example",
)
Task.__doc__ = """One task of the comparison.

unit: what one example is called; steps: the sections of a notebook of this task, in order;
hyper_parameters: dict; flops_per_example: of one training example, forward and backward (None where
nothing is trained); inference_flops_per_example: of the forward pass alone. One multiply-add counts
as two.
"""

PROFILES = ("smoke", "quick", "full")

# The sections of a notebook. Each code cell is tagged with the one it stands in.
TRAINING_STEPS = (
    "setup", "parameters", "data", "model", "weights", "loss",
    "check", "inside", "train", "evaluate", "save", "record",
)  # fmt: skip
INFERENCE_STEPS = tuple(step for step in TRAINING_STEPS if step not in ("loss", "train"))

TRAINING_PROFILES = {
    "smoke": Profile(epochs=2, steps=2, test_examples=100),
    # 200 steps in four stretches: the first holds the compilation, the others' median is the speed.
    "quick": Profile(epochs=4, steps=50, test_examples=2000),
}


def _convolution_flops(size, kernel, inputs, outputs):
    return 2 * size * size * kernel * kernel * inputs * outputs


def _cifar10_cnn_flops():
    first = _convolution_flops(32, 3, 3, 50)
    rest = (
        _convolution_flops(32, 3, 50, 50)
        + _convolution_flops(16, 3, 50, 100)
        + _convolution_flops(16, 3, 100, 100)
        + 2 * 6400 * 512
        + 2 * 512 * 10
    )
    # Backward costs the forward twice, for the inputs and for the kernels; nothing asks for the
    # pictures' gradient.
    return first + rest, 2 * first + 3 * rest


def _imdb_gru_flops():
    forward = 150 * 2 * 300 * (125 + 100) + 2 * 100 * 2
    return forward, 3 * forward


def resnet50_blocks():
    """Return the blocks of ResNet-50: a list of (prefix, inputs, width, outputs, stride)."""
    blocks, inputs = [], 64
    for layer, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=1):
        for index in range(count):
            stride = 2 if layer > 1 and index == 0 else 1
            blocks.append(("layer%d.%d." % (layer, index), inputs, width, 4 * width, stride))
            inputs = 4 * width
    return blocks


def _resnet50_features_flops():
    flops, size = _convolution_flops(112, 7, 3, 64), 56
    for _, inputs, width, outputs, stride in resnet50_blocks():
        flops += _convolution_flops(size, 1, inputs, width)
        size //= stride
        flops += _convolution_flops(size, 3, width, width) + _convolution_flops(
            size, 1, width, outputs
        )
        if inputs != outputs:
            flops += _convolution_flops(size, 1, inputs, outputs)
    return flops


def _tasks():
    cnn_forward, cnn_training = _cifar10_cnn_flops()
    gru_forward, gru_training = _imdb_gru_flops()
    cnn = Task(
        name="cifar10_cnn",
        unit="pictures",
        dataset="cifar10",
        batch_size=64,
        classes=10,
        profiles=dict(TRAINING_PROFILES, full=Profile(epochs=10, steps=None, test_examples=None)),
        steps=TRAINING_STEPS,
        hyper_parameters={"learning_rate": 0.01, "momentum": 0.9, "dropout": (0.25, 0.25, 0.5)},
        flops_per_example=cnn_training,
        inference_flops_per_example=cnn_forward,
    )
    gru = Task(
        name="imdb_gru",
        unit="reviews",
        dataset="imdb",
        batch_size=64,
        classes=2,
        profiles=dict(TRAINING_PROFILES, full=Profile(epochs=3, steps=None, test_examples=None)),
        steps=TRAINING_STEPS,
        hyper_parameters={"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        flops_per_example=gru_training,
        inference_flops_per_example=gru_forward,
    )
    resnet = Task(
        name="resnet50_features",
        unit="pictures",
        dataset="cifar10",
        batch_size=32,
        classes=None,
        profiles={
            "smoke": Profile(epochs=0, steps=0, test_examples=4),
            "quick": Profile(epochs=0, steps=0, test_examples=128),
            "full": Profile(epochs=0, steps=0, test_examples=1000),
        },
        steps=INFERENCE_STEPS,
        hyper_parameters={},
        flops_per_example=None,
        inference_flops_per_example=_resnet50_features_flops(),
    )
    return OrderedDict((task.name, task) for task in (cnn, gru, resnet))


TASKS = _tasks()
