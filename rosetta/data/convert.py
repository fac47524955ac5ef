"""The publishers' archives as plain .npy files, without pickles, ready to be memory-mapped."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta.data.download import Damaged
from rosetta.files import whole, write_text

CIFAR10_FILES = {
    "train": [f"data_batch_{number}.bin" for number in range(1, 6)],
    "test": ["test_batch.bin"],
}
CIFAR10_RECORDS = 10_000  # in each file: a label byte and 3072 pixels, plane by plane
REVIEWS = 12_500  # in each folder of IMDB
REVIEW = r"(?:.*/)?(?:train|test)/(?:neg|pos)/[^/]+\.txt"
REVIEW_BYTES = 100_000  # seven times the longest
# Of an archive, in bytes: what is read of it, what it may unpack to, and a header with a long name.
READ_LIMIT, UNPACKED_LIMIT, HEADER_LIMIT = 200_000_000, 1_500_000_000, 100_000
LENGTH = 150  # ids of a review
WORDS = 30_000  # ids in all
PADDING, START, UNKNOWN, FIRST_WORD = 0, 1, 2, 3


def cifar10(archive: Path, target: Path) -> None:
    """Write {x,y}_{train,test}.npy: uint8 [N, 3, 32, 32] and int64 [N]."""
    wanted = "|".join(name for names in CIFAR10_FILES.values() for name in names)
    found = _members(archive, rf"(?:.*/)?(?:{wanted})", each=CIFAR10_RECORDS * 3073)
    files = {Path(name).name: blob for name, blob in found}
    for part, names in CIFAR10_FILES.items():
        records = np.concatenate([_records(name, files) for name in names])
        save(target / f"x_{part}.npy", records[:, 1:].reshape(-1, 3, 32, 32))
        save(target / f"y_{part}.npy", records[:, 0].astype(np.int64))


def imdb(archive: Path, target: Path) -> None:
    """Write {x,y}_{train,test}.npy: int32 [N, 150] and int64 [N] (1: positive), vocabulary.txt.

    A review is its words' ranks by frequency in the training reviews (ties in alphabetical order),
    plus 2, after a 1; its last 150 ids, padded in front with 0. Words beyond 30,000 ids are 2.
    """
    reviews: dict[str, list[tuple[str, list[str]]]] = {"train": [], "test": []}
    for name, blob in _members(archive, REVIEW, each=REVIEW_BYTES):
        part, label, file = name.split("/")[-3:]
        reviews[part].append((f"{label}/{file}", words(blob.decode("utf-8", "replace"))))
    _check_reviews(reviews)
    ranked = vocabulary(chain.from_iterable(text for _, text in reviews["train"]))
    ids = {word: number for number, word in enumerate(ranked, FIRST_WORD)}
    for part, texts in reviews.items():
        texts.sort(key=lambda review: review[0])
        save(target / f"x_{part}.npy", np.array([encode(text, ids) for _, text in texts], np.int32))
        labels = [name.startswith("pos") for name, _ in texts]
        save(target / f"y_{part}.npy", np.array(labels, np.int64))
    save_text(target / "vocabulary.txt", ranked)


def resnet50(archive: Path, target: Path) -> None:
    """Write weights.npy: the canonical tensors, flattened and joined in their order."""
    from safetensors import SafetensorError, safe_open

    from common.weights import SPECS

    parts = []
    try:
        with safe_open(archive, framework="numpy") as tensors:
            there = set(tensors.keys())
            for name, shape in SPECS["resnet50_features"].items():
                found = tensors.get_slice(name) if name in there else None
                if not found or (found.get_dtype(), tuple(found.get_shape())) != ("F32", shape):
                    raise Damaged(f"{name} is not there as float32 {list(shape)}")
                parts.append(tensors.get_tensor(name).ravel())
    except (SafetensorError, ValueError) as error:
        raise Damaged(f"not a safetensors file: {error}") from None
    save(target / "weights.npy", np.concatenate(parts))


CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "cifar10": cifar10,
    "imdb": imdb,
    "resnet50": resnet50,
}


def words(text: str) -> list[str]:
    """Return the words of a review: runs of letters, digits and apostrophes, in lower case."""
    return re.findall(r"[a-z0-9']+", text.lower().replace("<br />", " "))


def vocabulary(texts: Iterator[str]) -> list[str]:
    """Return the words that get an id, the most frequent first, ties in alphabetical order."""
    counts = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in counts[: WORDS - FIRST_WORD]]


def encode(text: list[str], ids: dict[str, int]) -> list[int]:
    """Return the last 150 ids of a review, padded in front."""
    start = [START] if len(text) < LENGTH else []
    found = start + [ids.get(word, UNKNOWN) for word in text[-LENGTH:]]
    return [PADDING] * (LENGTH - len(found)) + found


def save(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file whole or not at all."""
    array = np.ascontiguousarray(array)
    with whole(path) as temporary, temporary.open("wb") as stream:
        # Not np.save: on a full disk it raises an error that does not say so.
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(array.data)


def save_text(path: Path, lines: list[str]) -> None:
    """Write a text file, a line for each item, whole or not at all."""
    write_text(path, "".join(f"{line}\n" for line in lines))


class _Header(tarfile.TarInfo):
    """A header of a tar archive that does not claim to be longer than any real one."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        of_a_file = self.isfile() or self.isdir() or self.issym() or self.islnk() or self.isdev()
        if not of_a_file and self.size > HEADER_LIMIT:
            raise Damaged(f"a header in it has {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Unpacked:
    """The unpacked bytes of a gzip file, no more than an archive of ours can have."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.stream, self.left = stream, UNPACKED_LIMIT

    def read(self, size: int) -> bytes:
        found = self.stream.read(size)
        self.left -= len(found)
        if self.left < 0:
            raise Damaged(f"it unpacks to more than {UNPACKED_LIMIT:,} bytes")
        return found


def _members(archive: Path, wanted: str, each: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the files in a tar archive whose names match; reads no others.

    Raises Damaged, also where one of them has more than `each` bytes.
    """
    left = READ_LIMIT
    try:
        with gzip.open(archive) as packed:
            stream = _Unpacked(packed)
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:  # type: ignore[call-overload]
                while (member := tar.next()) is not None:
                    tar.members.clear()  # which would keep every header
                    if not member.isfile() or not re.fullmatch(wanted, member.name):
                        continue
                    left -= member.size
                    if not 0 <= member.size <= each or left < 0:
                        raise Damaged(f"{Path(member.name).name} in it is too large")
                    content = tar.extractfile(member)
                    yield member.name, content.read() if content else b""
            while stream.read(1 << 20):  # to its end, where gzip keeps the checksum
                pass
    except NOT_AN_ARCHIVE as error:
        raise Damaged(f"not a whole tar archive: {error}") from None


# What the reading of damaged archives raises, tarfile's own faults included.
NOT_AN_ARCHIVE = (
    tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, LookupError,
    ArithmeticError, RecursionError, AttributeError, TypeError,
)  # fmt: skip


def _records(name: str, files: dict[str, bytes]) -> NDArray[np.uint8]:
    blob = files.get(name, b"")
    if len(blob) != CIFAR10_RECORDS * 3073:
        raise Damaged(f"{name} has {len(blob)} bytes instead of {CIFAR10_RECORDS * 3073}")
    records = np.frombuffer(blob, np.uint8).reshape(-1, 3073)
    if records[:, 0].max() > 9:
        raise Damaged(f"{name} holds labels beyond the ten classes")
    return records


def _check_reviews(reviews: dict[str, list[tuple[str, list[str]]]]) -> None:
    for part, texts in reviews.items():
        for label in ("neg", "pos"):
            count = sum(name.startswith(label) for name, _ in texts)
            if count != REVIEWS:
                raise Damaged(f"{part}/{label} holds {count} reviews instead of {REVIEWS}")
