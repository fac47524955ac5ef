"""What a run was asked to do, as the command line hands it to the runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROFILES = ("smoke", "quick", "full")
DEVICES = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Options:
    """The options of `run`; None and empty mean: not asked for, the runner decides."""

    tasks: tuple[str, ...] = ()  # empty: all
    frameworks: tuple[str, ...] = ()  # empty: all
    profile: str | None = None  # None: quick, or full with a GPU
    device: str = "auto"
    force: bool = False
    repeats: int = 1
    timeout: float | None = None  # seconds of one execution; None: the profile's
    mirror: str | None = None  # folder or URL
    seed: int = 0
    python: Path | None = None  # --here, --python: this interpreter for every row
    save_outputs: bool = False
    times: bool = False  # `list`: how long each cell takes
    scheduler: str | None = None  # address or scheduler file of a Dask cluster
