"""Where everything is: the folders of one project."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rosetta.errors import UserError


def home() -> Path | None:
    """Return the user's home folder; None for a user without one, or whose home is all the disk."""
    try:
        found = Path.home()
    except RuntimeError:
        return None
    return found if found.is_absolute() and found != Path(found.anchor) else None


@dataclass(frozen=True)
class Project:
    """The folders below the root of a repository."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """Return the project of $ROSETTA_ROOT, or the one that holds this package."""
        return cls(Path(os.environ.get("ROSETTA_ROOT") or Path(__file__).parent.parent).resolve())

    @property
    def frameworks(self) -> Path:
        return self.root / "frameworks"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def common(self) -> Path:
        return self.root / "common"

    @property
    def shared(self) -> Path | None:
        """Where the checkouts on a cluster's host keep what they share: $ROSETTA_WORK."""
        folder = os.environ.get("ROSETTA_WORK")
        return Path(folder).resolve() if folder else None

    @property
    def data(self) -> Path:
        """Where the data sets are: $ROSETTA_DATA, or data/."""
        own = (self.shared or self.root) / "data"
        return Path(os.environ.get("ROSETTA_DATA") or own).resolve()

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def results_md(self) -> Path:
        return self.root / "results.md"

    @property
    def environments(self) -> Path:
        """The Pythons that the kernels run in."""
        return self.shared / "environments" if self.shared else self.root / ".envs"

    @property
    def state(self) -> Path:
        """The lock file, logs and job files of the runner: $ROSETTA_STATE, or .rosetta/."""
        return Path(os.environ.get("ROSETTA_STATE") or self.root / ".rosetta").resolve()

    @property
    def logs(self) -> Path:
        """What builds and notebooks print; on a cluster's host it outlives the runner's state."""
        return (self.shared or self.state) / "logs"

    @property
    def locks(self) -> Path:
        """The locks of what one process at a time may make or use: environments, data, devices."""
        return self.shared / "locks" if self.shared else self.state

    def check(self) -> None:
        """Raise UserError where a file stands in the place of one of the folders."""
        for folder in (
            *(self.frameworks, self.notebooks, self.common, self.results),
            *(self.environments, self.state, self.data),
        ):
            if folder.exists() and not folder.is_dir():
                raise UserError(f"{self.relative(folder)} is a file: a folder must be there")

    def relative(self, path: str | Path) -> str:
        """Return a path fit to publish: relative to the repository or to the home folder (~)."""
        path = Path(path).absolute()
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        own = home()
        if own and path.is_relative_to(own):
            return (Path("~") / path.relative_to(own)).as_posix()
        return path.name

    def sanitise(self, text: str) -> str:
        """Return a message without what must not be published: absolute paths and addresses."""
        text = re.sub(r"\b(?:https?|file)://[^\s)`'\"]+", "(address)", text)
        text = text.replace(f"{self.root}{os.sep}", "").replace(str(self.root), ".")
        if own := home():
            text = re.sub(rf"{re.escape(str(own))}(?![\w.-])", "~", text)
        # What is left of absolute paths: their last part says enough.
        return re.sub(r"(?<![\w~./:-])/(?:[^\s/:`'\"]+/)+([^\s/:`'\"]+)", r"\1", text)
