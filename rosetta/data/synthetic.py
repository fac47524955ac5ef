"""Small data sets made on the spot, learnable, for machines that cannot get the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta.data import convert
from rosetta.files import write_json

TRAIN, TEST = 12_800, 2_000
CLASS_WORDS = 50  # words of each opinion
OPINION = 0.05  # of the words of a review


def write(target: Path, name: str) -> None:
    """Write the stand-in for "cifar10" or "imdb" into a folder; dataset.json last."""
    target.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(0)
    x, y = MAKERS[name](random, TRAIN + TEST)
    for part, chosen in (("train", slice(TRAIN)), ("test", slice(TRAIN, None))):
        convert.save(target / f"x_{part}.npy", x[chosen])
        convert.save(target / f"y_{part}.npy", y[chosen])
    if name == "imdb":
        count = convert.WORDS - convert.FIRST_WORD
        convert.save_text(target / "vocabulary.txt", [f"word{i}" for i in range(count)])
    write_json(target / "dataset.json", {"data": "synthetic", "source": "made on the spot"})


def _cifar10(
    random: np.random.RandomState, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return a coarse coloured pattern for each class under heavy noise."""
    labels = random.randint(0, 10, count)
    patterns = random.randint(0, 96, (10, 3, 8, 8)).astype(np.uint8)
    patterns = patterns.repeat(4, axis=2).repeat(4, axis=3)
    noise = random.randint(0, 160, (count, 3, 32, 32), dtype=np.uint8)
    return patterns[labels] + noise, labels.astype(np.int64)


def _imdb(random: np.random.RandomState, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return reviews of words as frequent as Zipf's law has it, some of them the label's own."""
    labels = random.randint(0, 2, count)
    shape = (count, convert.LENGTH)
    ranks = ((convert.WORDS - convert.FIRST_WORD) ** random.random_sample(shape)).astype(np.int32)
    reviews = ranks + (convert.FIRST_WORD - 1)
    opinions = 100 + CLASS_WORDS * labels[:, None] + random.randint(0, CLASS_WORDS, shape)
    reviews = np.where(random.random_sample(shape) < OPINION, opinions, reviews)
    # The first id that is not padding; a review of full length has lost its start.
    first = np.maximum(random.randint(-60, 120, count), -1)[:, None]
    position = np.arange(convert.LENGTH)[None, :]
    reviews = np.where(position == first, convert.START, reviews)
    reviews = np.where(position < first, convert.PADDING, reviews)
    return reviews.astype(np.int32), labels.astype(np.int64)


MAKERS: dict[str, Callable[[np.random.RandomState, int], tuple[NDArray[Any], NDArray[Any]]]] = {
    "cifar10": _cifar10,
    "imdb": _imdb,
}
