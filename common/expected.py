"""What the reference makes of a check's inputs: computed once per dialect, then kept in data/."""

import hashlib
import os
import tempfile
from collections import OrderedDict

import numpy as np

from . import data, reference
from .tasks import TASKS

STEPS = 5
# How many of the inputs are compared layer by layer.
LAYER_EXAMPLES = 4

# A ReLU or a max-pool whose input stands within float32's rounding of a tie may go the other way in
# a correct program, and each such flip shifts an update by up to 1e-2. So a batch of the CNN holds
# four different pictures, each sixteen times with other labels, and this seed is the one of many
# whose smallest distance from a tie is the largest: 2.7e-6 standard deviations over all activations
# of the five steps in either form of `pool_ties`, nine times the rounding of a convolution. What
# is equal for certain does not count: the numbers of a picture of one colour.
DIFFERENT_PICTURES = 4
# In the batch of this step one of them is of one colour: its pooling windows have several largest
# numbers, and whichever of them gets the gradient, the update is the same. The step after it has
# the loss in which the forms of `pool_ties` part; before it they do not, which leaves one distance
# from a tie to be large.
ONE_COLOUR = STEPS - 2
SEEDS = {"cifar10_cnn": 4235, "imdb_gru": 2, "resnet50_features": 2}

# What the kept numbers depend on.
SOURCES = ("expected.py", "layers.py", "optimizers.py", "reference.py", "tasks.py", "weights.py")


def examples(task):
    """Return (x, batches): random inputs for the logits, and STEPS training batches [(x, y)].

    x holds a full batch and a part batch, so that a helper which drops the last part batch is found
    out.
    """
    random, batch_size = np.random.RandomState(SEEDS[task]), TASKS[task].batch_size
    if task == "resnet50_features":
        return random.normal(size=(3, 3, 224, 224)).astype(np.float32), []

    def draw(count):
        if task == "cifar10_cnn":
            return random.uniform(size=(count, 3, 32, 32)).astype(np.float32)
        words = 3 + (29997 * random.uniform(size=(count, 150)) ** 3).astype(np.int32)
        starts = random.randint(0, 140, count)
        position = np.arange(150)
        words[position[None] == starts[:, None]] = 1
        words[position[None] < starts[:, None]] = 0
        return words

    batches = []
    for step in range(STEPS):
        y = random.randint(0, TASKS[task].classes, batch_size).astype(np.int64)
        if task == "cifar10_cnn":
            pictures = draw(DIFFERENT_PICTURES)
            if step == ONE_COLOUR:
                pictures[0] = pictures[0, :, :1, :1]
            batches.append((np.tile(pictures, (batch_size // DIFFERENT_PICTURES, 1, 1, 1)), y))
        else:
            batches.append((draw(batch_size), y))
    return draw(batch_size + 36), batches


def in_float64(weights):
    """Return the same weights in the precision in which the checks compute."""
    return OrderedDict((name, np.asarray(array, np.float64)) for name, array in weights.items())


def of_check(task, weights, dialect):
    """Return what the reference makes of `examples`: {name: float64 array}.

    logits; layers/NAME for the first LAYER_EXAMPLES of x; of a task that trains, losses and
    after/NAME: the weights after the steps.
    """

    def compute():
        x, batches = examples(task)
        x = x if task == "imdb_gru" else x.astype(np.float64)
        start = in_float64(weights)
        found = {"logits": reference.logits(task, start, x, dialect)}
        layers = reference.activations(task, start, x[:LAYER_EXAMPLES], dialect)
        found.update(("layers/" + name, array) for name, array in layers.items())
        if batches:
            losses, after = reference.train(task, start, batches, dialect)
            found["losses"] = np.array(losses)
            found.update(("after/" + name, array) for name, array in after.items())
        return found

    return kept((task, sorted(dialect.items())), compute)


def kept(key, compute):
    """Return compute(), a dict of arrays, from data/reference where it stands under this `key`.

    key: what the numbers depend on besides the sources of the reference. A file that cannot be read
    is made anew.
    """
    digest = hashlib.sha256(repr(key).encode())
    folder = os.path.dirname(os.path.abspath(__file__))
    for name in SOURCES:
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    name = "%s-%s.npz" % (key[0], digest.hexdigest()[:16])
    path = os.path.join(data.folder(), "reference", name)
    if os.path.exists(path):
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception:  # whatever a damaged archive raises, of zipfile, zlib or NumPy
            pass
    arrays = compute()
    _write(path, arrays)
    return arrays


def _write(path, arrays):
    """Write an archive whole or not at all; nothing where the folder cannot be written.

    That costs the seconds of computing it again.
    """
    temporary = None
    try:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        # Of a name by which the runner finds what a killed process leaves.
        prefix = ".%s.%d-" % (os.path.basename(path), os.getpid())
        with tempfile.NamedTemporaryFile(
            dir=os.path.dirname(path), prefix=prefix, suffix=".tmp", delete=False
        ) as file:
            temporary = file.name
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None and os.path.exists(temporary):
            os.remove(temporary)
