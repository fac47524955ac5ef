"""The data sets: downloaded once, checked, and converted to plain .npy in data/."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta import files
from rosetta.data import download
from rosetta.data.download import Damaged, Progress, Unreachable
from rosetta.errors import UserError
from rosetta.files import write_json
from rosetta.project import Project

Log = Callable[[str], None]


@dataclass(frozen=True)
class Dataset:
    """What a publisher offers: `name` is its folder in data/, `file` its name in a mirror."""

    name: str
    title: str
    url: str
    file: str
    size: int  # bytes to download
    sha256: str

    @property
    def most(self) -> int:
        """The bytes that a file of a mirror may have, which may be packed less well."""
        return 2 * self.size


# Sizes and checksums of the two archives as TensorFlow Datasets pins them (url_checksums), those of
# the weights as several public projects pin this revision. The publishers themselves name none.
# The weights are torchvision's IMAGENET1K_V1 (resnet50-0676ba61.pth) as safetensors.
DATASETS = {
    "cifar10": Dataset(
        "cifar10",
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    "imdb": Dataset(
        "imdb",
        "IMDB reviews",
        "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        "aclImdb_v1.tar.gz",
        84_125_825,
        "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    ),
    "resnet50": Dataset(
        "resnet50",
        "ResNet-50 weights",
        "https://huggingface.co/timm/resnet50.tv_in1k/resolve/"
        "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa/model.safetensors",
        "resnet50.safetensors",
        102_469_840,
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
    ),
}
TASK_DATASETS = {
    "cifar10_cnn": ("cifar10",),
    "imdb_gru": ("imdb",),
    "resnet50_features": ("cifar10", "resnet50"),
}
SYNTHETIC = ("cifar10", "imdb")  # the weights need no stand-in on disk: common/ draws random ones

# How long a publisher that could not be reached is not asked again.
FORGET_SECONDS = 3600.0


def ensure(
    project: Project,
    tasks: Iterable[str],
    mirror: str | None,
    log: Log,
    progress: Progress | None = None,
    retry: bool = False,
) -> dict[str, dict[str, Any]]:
    """Fetch what the tasks need and is missing; say for each task what it has got.

    Returns {task: {"data": "real" or "synthetic", "weights": "initial", "pretrained" or "random",
    "data_source" and "weights_source": {"kind": "published", "mirror" or "synthetic", "sha256": of
    the archive} or None, "reason": why not the real ones, or None}}. A publisher that could not be
    reached is asked again after an hour, or at once with `retry`. Raises UserError on a bad mirror
    or a damaged archive.
    """
    from filelock import FileLock

    tasks = list(tasks)
    names = [name for name in DATASETS if any(name in TASK_DATASETS[task] for task in tasks)]
    if mirror is not None:
        _checksums(mirror)  # a bad mirror is an error even where nothing is missing
    fresh = mirror is not None or retry
    if not all(
        _is_ready(project, each) or (_is_settled(project, each) and not fresh) for each in names
    ):
        project.state.mkdir(parents=True, exist_ok=True)
        project.data.mkdir(parents=True, exist_ok=True)
        # In the data folder, which several checkouts may share.
        with FileLock(project.data / ".lock"):
            files.remove_left([project.data, *project.data.glob("*/"), *project.data.glob("*/*/")])
            for name in names:
                if not _is_ready(project, name):
                    _obtain(project, DATASETS[name], mirror, log, progress or _by_line(log), retry)
    return {task: _outcome(project, task) for task in tasks}


def plan(project: Project, tasks: Iterable[str]) -> list[str]:
    """Return a line for each data set that has yet to be fetched, with its size."""
    names = {name for task in tasks for name in TASK_DATASETS[task]}
    return [
        f"{dataset.title}: {dataset.size / 1e6:.0f} MB"
        for name, dataset in DATASETS.items()
        if name in names and not _is_ready(project, name) and not _failed(project, name)
    ]


def _outcome(project: Project, task: str) -> dict[str, Any]:
    missing = [name for name in TASK_DATASETS[task] if not _is_ready(project, name)]
    reasons = [f"{DATASETS[name].title}: {_failed(project, name)}" for name in missing]
    weights = "initial"
    if "resnet50" in TASK_DATASETS[task]:
        weights = "random" if "resnet50" in missing else "pretrained"
    sources = {name: _source(project, name) for name in TASK_DATASETS[task]}
    return {
        "data": "synthetic" if set(missing) & set(SYNTHETIC) else "real",
        "weights": weights,
        "data_source": next(sources[name] for name in sources if name in SYNTHETIC),
        "weights_source": sources.get("resnet50"),
        "reason": "; ".join(reasons) or None,
    }


def _source(project: Project, name: str) -> dict[str, str] | None:
    """Return where what lies in data/NAME came from; None where its dataset.json does not say."""
    content = _read_json(project.data / name / "dataset.json")
    if not content:
        return {"kind": "synthetic"} if name in SYNTHETIC else None
    sha256 = content.get("sha256")
    if not isinstance(sha256, str):
        return None
    return {
        "kind": "published" if sha256 == DATASETS[name].sha256 else "mirror",
        "sha256": sha256,
    }


def _obtain(
    project: Project,
    dataset: Dataset,
    mirror: str | None,
    log: Log,
    progress: Progress,
    retry: bool,
) -> None:
    """Get the real data set, or settle for the stand-in and remember why."""
    sums = _checksums(mirror) if mirror is not None else {}
    if mirror is not None and dataset.file in sums:
        _from_mirror(project, dataset, mirror, sums[dataset.file], log, progress)
        return
    if mirror is not None and dataset.name in SYNTHETIC:
        raise UserError(f"the mirror's SHA256SUMS has no {dataset.file}: add it, or leave --mirror")
    if retry or not _failed(project, dataset.name):
        try:
            _from_publisher(project, dataset, log, progress)
            return
        except Unreachable as reason:
            _remember_failure(project, dataset.name, str(reason))
    stand_in = "synthetic data" if dataset.name in SYNTHETIC else "random ones"
    log(f"{dataset.title}: {_failed(project, dataset.name)}, {stand_in} stand in")
    if dataset.name in SYNTHETIC and not _is_complete(_stand_in_folder(project, dataset.name)):
        from rosetta.data import synthetic

        synthetic.write(_stand_in_folder(project, dataset.name), dataset.name)


def _from_publisher(project: Project, dataset: Dataset, log: Log, progress: Progress) -> None:
    archive = project.data / "downloads" / dataset.file
    if not archive.exists():
        log(f"{dataset.title}: downloading {dataset.size / 1e6:.0f} MB from {dataset.url}")
        _fetch(dataset, dataset.url, archive, dataset.sha256, progress)
    _convert(project, dataset, archive, dataset.sha256, dataset.url, log)
    _discard(archive)


def _from_mirror(
    project: Project, dataset: Dataset, mirror: str, sha256: str, log: Log, progress: Progress
) -> None:
    source = dataset.url if sha256 == dataset.sha256 else "a mirror, not the published file"
    if not _is_url(mirror):
        archive = Path(mirror) / dataset.file
        if not archive.is_file():
            raise UserError(f"the mirror names {dataset.file} in SHA256SUMS but does not hold it")
        if archive.stat().st_size > dataset.most:
            raise UserError(_damaged(dataset, "it is far too large", "in the mirror"))
        if download.digest(archive) != sha256:
            raise UserError(_damaged(dataset, "it is not what SHA256SUMS says", "in the mirror"))
        _convert(project, dataset, archive, sha256, source, log)
        return
    archive = project.data / "downloads" / f"mirror-{dataset.file}"
    log(f"{dataset.title}: downloading from the mirror")
    try:
        _fetch(dataset, _join(mirror, dataset.file), archive, sha256, progress)
    except Unreachable as reason:
        raise UserError(f"{dataset.title}: the mirror failed: {reason}") from None
    _convert(project, dataset, archive, sha256, source, log)
    _discard(archive)


def _fetch(dataset: Dataset, url: str, archive: Path, sha256: str, progress: Progress) -> None:
    try:
        download.fetch(url, archive, sha256, dataset.most, progress)
    except Damaged as reason:
        raise UserError(_damaged(dataset, str(reason))) from None


def _convert(
    project: Project, dataset: Dataset, archive: Path, sha256: str, source: str, log: Log
) -> None:
    """Convert an archive into data/NAME; dataset.json, written last, makes it complete."""
    from rosetta.data import convert

    log(f"{dataset.title}: converting")
    target = project.data / dataset.name
    target.mkdir(parents=True, exist_ok=True)
    try:
        convert.CONVERTERS[dataset.name](archive, target)
    except Damaged as reason:
        if not archive.is_relative_to(project.data):
            raise UserError(_damaged(dataset, str(reason), "in the mirror")) from None
        archive.unlink()  # ours: the next try fetches it again
        raise UserError(_damaged(dataset, str(reason))) from None
    write_json(
        target / "dataset.json",
        {
            "data": "real",
            "source": source,
            "sha256": sha256,
            "published": sha256 == dataset.sha256,
        },
    )


def _discard(archive: Path) -> None:
    """Remove a converted archive, and its folder when it was the last."""
    archive.unlink()
    if not any(archive.parent.iterdir()):
        shutil.rmtree(archive.parent)


def _damaged(dataset: Dataset, reason: str, where: str = "") -> str:
    fix = f"put a whole one {where}" if where else "it was removed, run again to fetch it anew"
    return f"{dataset.file} is damaged ({reason}): {fix}"


# --- what there is, and what failed -----------------------------------------------------------


def _is_ready(project: Project, name: str) -> bool:
    return _is_complete(project.data / name)


def _is_settled(project: Project, name: str) -> bool:
    """Say whether the stand-in is in use for now: then there is nothing to do, nor to write."""
    there = name not in SYNTHETIC or _is_complete(_stand_in_folder(project, name))
    return there and _failed(project, name) is not None


def _is_complete(folder: Path) -> bool:
    return "data" in _read_json(folder / "dataset.json")


def _stand_in_folder(project: Project, name: str) -> Path:
    return project.data / "synthetic" / name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _failures(project: Project) -> Path:
    return project.locks / "unreachable.json"


def _failed(project: Project, name: str) -> str | None:
    """Return why a publisher could not be reached within the last hour."""
    entry = _read_json(_failures(project)).get(name)
    if not isinstance(entry, dict) or not isinstance(entry.get("time"), int | float):
        return None
    lately = 0 <= time.time() - entry["time"] < FORGET_SECONDS
    return str(entry.get("reason")) if lately else None


def _remember_failure(project: Project, name: str, reason: str) -> None:
    failures = _read_json(_failures(project))
    failures[name] = {"time": time.time(), "reason": reason}
    write_json(_failures(project), failures)


# --- mirrors ----------------------------------------------------------------------------------


def _checksums(mirror: str) -> dict[str, str]:
    """Return {file: SHA-256} of a mirror's SHA256SUMS."""
    fix = "make it there with 'sha256sum *.gz > SHA256SUMS'"
    try:
        if _is_url(mirror):
            text = download.read(_join(mirror, "SHA256SUMS")).decode("utf-8", "replace")
        elif not Path(mirror).is_dir():
            raise UserError("--mirror: there is no such folder: give a folder or a URL")
        else:
            text = _read_small(Path(mirror) / "SHA256SUMS")
    except FileNotFoundError:
        raise UserError(f"the mirror has no SHA256SUMS: {fix}") from None
    except Unreachable as reason:
        raise UserError(f"the mirror's SHA256SUMS cannot be read ({reason}): {fix}") from None
    sums = {}
    for line in text.splitlines():
        sha256, _, name = line.strip().partition(" ")
        if len(sha256) == 64:
            sums[os.path.basename(name.strip().lstrip("*"))] = sha256.lower()  # noqa: PTH119
    if not sums:
        raise UserError(f"the mirror's SHA256SUMS names no file: {fix}")
    return sums


def _read_small(file: Path) -> str:
    """Return the text of a small file. Raises FileNotFoundError, or Unreachable in words."""
    if file.exists() and not file.is_file():
        raise Unreachable("it is not a file")
    with file.open("rb") as stream:
        content = stream.read(download.SMALL + 1)
    if len(content) > download.SMALL:
        raise Unreachable(f"it has more than {download.SMALL:,} bytes")
    return content.decode("utf-8", "replace")


def _is_url(mirror: str) -> bool:
    return mirror.lower().startswith(("http://", "https://"))


def _join(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{name}"


def _by_line(log: Log) -> Progress:
    """Return a progress that writes a line at each fifth of a file."""
    written: dict[str, int] = {}

    def progress(name: str, done: int, total: int) -> None:
        fifth = 5 * done // total if total else 0
        if fifth > written.get(name, 0):
            written[name] = fifth
            log(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return progress
