"""The machine that a run was timed on: what it is made of, its name, its matrix-product rate."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from rosetta.environments import processor
from rosetta.errors import UserError
from rosetta.results.conditions import SLOWED

MATMUL_SIZE = 4096
MATMUL_REPEATS = 4
# How long a measured rate stands for the machine: cores may be lent to others in between.
MATMUL_LASTS_SECONDS = 240
FINGERPRINT = ("processor", "accelerator", "cores", "threads", "driver", "system", "vectors")
# Rented machines of one processor name may differ in these, and threefold in speed; widest first.
VECTORS = ("avx512f", "avx2", "avx", "sve", "asimd")
# Words of a processor's or accelerator's name that tell no two of them apart.
EMPTY_WORDS = {"r", "tm", "c", "cpu", "gpu", "processor", "core", "cores", "with", "the", "nvidia"}

# Runs in a process of its own: threads and allocator are those of a fresh NumPy.
MATMUL_SCRIPT = f"""
import time
import numpy as np
rows = np.random.RandomState(0).rand(64, {MATMUL_SIZE}).astype(np.float32)
a, b = (np.tile(rows, ({MATMUL_SIZE} // 64, 1)) for _ in range(2))
product, seconds = a[:512] @ b, []
for _ in range({MATMUL_REPEATS}):
    start = time.perf_counter()
    np.matmul(a, b)
    seconds.append(time.perf_counter() - start)
print(2 * {MATMUL_SIZE}**3 / min(seconds) / 1e9)
"""


def choose_device(device: str) -> str:
    """Return "cpu" or "gpu" for what was asked: auto is gpu where there is one.

    Raises UserError for "gpu" on a machine without one.
    """
    if device == "cpu":
        return "cpu"
    if accelerator() is not None:
        return "gpu"
    if device == "gpu":
        raise UserError(
            "--device gpu: nvidia-smi finds no GPU here; install the driver, or use --device cpu"
        )
    return "cpu"


def describe(device: str) -> dict[str, Any]:
    """Return the machine of a record, as a run on `device` sees it.

    The accelerator counts only for runs on it. The rates (matmul_gflops, matmul_last_gflops,
    accelerator_gflops) are null until they are measured.
    """
    gpu = (accelerator() if device == "gpu" else None) or {}
    machine = {
        "processor": _processor(),
        "vectors": next((name for name in VECTORS if processor.has(name)), None),
        "cores": processor.cores(),
        "threads": processor.threads(),
        "memory_bytes": _memory_bytes(),
        "accelerator": gpu.get("name"),
        "accelerator_memory_bytes": gpu.get("memory_bytes"),
        "driver": gpu.get("driver"),
        "cuda": gpu.get("cuda"),
        "system": _system(),
        "matmul_gflops": None,
        "matmul_last_gflops": None,
        "accelerator_gflops": None,
    }
    return {"name": _name(machine), **machine}


def matmul_gflops() -> float:
    """Return the float32 rate of NumPy's 4096 x 4096 matrix product on these cores, in GFLOP/s."""
    run = subprocess.run(
        [sys.executable, "-c", MATMUL_SCRIPT], capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"the matrix product could not be measured: {last}")
    return round(float(run.stdout), 1)


class MatrixProduct:
    """The matrix product of this machine, measured again every few minutes of a run.

    A rate measured while something else used the cores would make every row look fast, so what
    counts is the best that was seen in the run; the last one says what the next row meets.
    """

    def __init__(self) -> None:
        self.best: float | None = None
        self.last: float | None = None
        self.measured_at = -math.inf

    def is_due(self) -> bool:
        return time.monotonic() - self.measured_at > MATMUL_LASTS_SECONDS

    def measure(self, before: float | None) -> str | None:
        """Measure it; return a warning where it is far below `before`, an earlier run's rate."""
        return self.note(matmul_gflops(), before)

    def note(self, found: float, before: float | None) -> str | None:
        """Take down what was measured just now; return what `measure` does."""
        self.best, self.last = max(found, self.best or 0.0), found
        self.measured_at = time.monotonic()
        known = max(self.best, before or 0.0)
        if found >= SLOWED * known:
            return None
        return (
            f"something else is using this machine: its matrix product gives {found:.0f} GFLOP/s, "
            f"{known:.0f} before; the speeds measured now are too low"
        )

    @property
    def rates(self) -> dict[str, float | None]:
        """What the record of the next row says of it, in GFLOP/s."""
        return {"matmul_gflops": self.best, "matmul_last_gflops": self.last}


@cache
def accelerator() -> dict[str, Any] | None:
    """Return the first GPU that this process may use (name, memory, driver, CUDA), or None."""
    program = shutil.which("nvidia-smi")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if program is None or visible in ("", "-1"):
        return None
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]
    first = [f"--id={visible.split(',')[0]}"] if visible else []
    lines = (_output(program, *query, *first) or _output(program, *query)).strip().splitlines()
    if not lines or lines[0].count(",") < 2:
        return None
    name, driver, mebibytes = (part.strip() for part in lines[0].rsplit(",", 2))
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", _output(program))
    return {
        "name": name,
        "driver": driver,
        "memory_bytes": int(float(mebibytes) * 2**20) if mebibytes[:1].isdigit() else None,
        "cuda": cuda.group(1) if cuda else None,
    }


def _output(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout if run.returncode == 0 else ""


@cache
def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if match:
            return " ".join(match.group(1).split())
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string").strip() or platform.machine()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    limit = processor.read("/sys/fs/cgroup/memory.max").strip()
    total = int(psutil.virtual_memory().total)
    return min(total, int(limit)) if limit.isdigit() else total


def _system() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return f"{platform.system()} {platform.release()}"
    return f"{release['NAME']} {release.get('VERSION_ID', '')}".strip()


def _name(machine: dict[str, Any]) -> str:
    """Return a slug fit for a folder: processor, cores, accelerator, and what tells twins apart."""
    processor, accelerator = (_words(machine[key] or "")[:3] for key in FINGERPRINT[:2])
    vectors = [machine["vectors"]] if machine["vectors"] else []
    parts = [*processor, *vectors, f"{machine['cores']}c", *accelerator]
    fingerprint = json.dumps([machine[key] for key in FINGERPRINT])
    return "-".join([*parts, hashlib.sha256(fingerprint.encode()).hexdigest()[:6]])


def _words(name: str) -> list[str]:
    name = re.sub(r"\d+-core|\d+th gen|@.*", "", name.lower())
    return [word for word in re.findall(r"[a-z0-9.]+", name) if word not in EMPTY_WORDS]
