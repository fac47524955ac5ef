"""The checkout as it travels to the workers: one archive, named after what is in it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from rosetta.project import Project

# What a run reads, in whichever state it is, committed or not: no results, tests, data or site.
RUNNER = ("run_all.py", "pyproject.toml", "rosetta")
OF_THE_PROJECT = ("common", "frameworks", "notebooks")
# A moment that is the same for all files: equal contents make equal archives.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(project: Project) -> tuple[str, bytes]:
    """Return the name and the archive (zip) of what a worker needs of this checkout."""
    code = Path(__file__).parents[2]
    sources = [*(code / name for name in RUNNER), *(project.root / name for name in OF_THE_PROJECT)]
    content = io.BytesIO()
    digest = hashlib.sha256()
    with zipfile.ZipFile(content, "w") as archive:
        for source in sources:
            for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
                relative = file.relative_to(source.parent)
                if not file.is_file() or _is_by_product(relative):
                    continue
                data = file.read_bytes()
                entry = zipfile.ZipInfo(relative.as_posix(), EPOCH)
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
                digest.update(f"{relative.as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16], content.getvalue()


def _is_by_product(file: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.parts)
