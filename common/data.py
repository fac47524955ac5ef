"""The data sets as arrays in a framework's layout, and batches in one order for all of them."""

import json
import os
import time

import numpy as np

LAYOUTS = ("channels_first", "channels_last")

# Of the pictures that torchvision's ResNet-50 weights were trained on, per channel (red, green,
# blue).
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def folder():
    """Return where the data sets lie: $ROSETTA_DATA, or data/ beside common/."""
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
    return os.environ.get("ROSETTA_DATA", beside)


def find(dataset):
    """Return (folder, "real" or "synthetic") of a data set.

    Raises FileNotFoundError that names the fix when there is neither.
    """
    for kind, path in (("real", dataset), ("synthetic", os.path.join("synthetic", dataset))):
        path = os.path.join(folder(), path)
        if os.path.exists(os.path.join(path, "dataset.json")):
            with open(os.path.join(path, "dataset.json")) as file:
                return path, json.load(file).get("data", kind)
    raise FileNotFoundError("no %s data set yet: `python run_all.py data` fetches it" % dataset)


def load(dataset, part, count=None, seed=0):
    """Return (x, y) of the "train" or "test" part, memory-mapped, or `count` examples of it.

    Those are drawn at random, since the reviews lie on disk by label. cifar10: x uint8
    [N, 3, 32, 32]; imdb: x int32 [N, 150]; y int64 [N].
    """
    path = find(dataset)[0]
    x, y = (np.load(os.path.join(path, "%s_%s.npy" % (name, part)), mmap_mode="r") for name in "xy")
    if count is None or count >= len(x):
        return x, y
    drawn = chosen(len(x), count, seed)
    return x[drawn], y[drawn]


def chosen(examples, count, seed):
    """Return the indices of `count` examples drawn at random, in ascending order."""
    return np.sort(np.random.RandomState(seed).permutation(examples)[:count])


def to_layout(pictures, layout):
    """Return pictures [N, C, H, W] as they are, or the same as [N, H, W, C] for "channels_last"."""
    if layout not in LAYOUTS:
        raise ValueError("layout is %r: choose %s" % (layout, " or ".join(LAYOUTS)))
    return (
        pictures
        if layout == "channels_first"
        else np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))
    )


def cifar10_pictures(pictures, layout):
    """Return float32 in [0, 1] from uint8 [N, 3, 32, 32]."""
    return to_layout(np.divide(pictures, np.float32(255), dtype=np.float32), layout)


def resnet50_pictures(pictures, layout):
    """Return float32 [N, 3, 224, 224] from uint8 [N, 3, 32, 32]: enlarged and normalised."""
    scaled = np.divide(pictures, np.float32(255), dtype=np.float32)
    scaled = (scaled - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]
    return to_layout(scaled.repeat(7, axis=2).repeat(7, axis=3), layout)


class Batches(object):
    """Batches of a training set in a seeded order, the same for every framework.

    seconds, examples, count: time spent in preparing batches so far, how many examples they held,
    and how many they were.
    """

    def __init__(self, batch_size, seed, steps=None):
        self.batch_size, self.seed, self.steps = batch_size, seed, steps
        self.seconds, self.examples, self.count = 0.0, 0, 0

    def order(self, examples, epoch):
        """Return the indices of the examples of one epoch, in order.

        With `steps`, an epoch is that many batches and the next one goes on where it stopped, so
        that no example comes twice before all have come once.
        """
        if self.steps is None:
            return np.random.RandomState(self.seed + 1000 * epoch).permutation(examples)
        length = self.batch_size * self.steps
        first, last = epoch * length, (epoch + 1) * length
        passes = [
            np.random.RandomState(self.seed + 1000 * number).permutation(examples)
            for number in range(first // examples, (last - 1) // examples + 1)
        ]
        start = first - (first // examples) * examples
        return np.concatenate(passes)[start : start + length]

    def __call__(self, x, y, epoch):
        """Yield (x, y) of each batch of an epoch; the last one may be a part batch."""
        order = self.order(len(x), epoch)
        for start in range(0, len(order), self.batch_size):
            began = time.perf_counter()
            indices = order[start : start + self.batch_size]
            batch = x[indices], y[indices]
            self.seconds += time.perf_counter() - began
            self.examples += len(indices)
            self.count += 1
            yield batch
