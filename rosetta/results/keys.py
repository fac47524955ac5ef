"""What the outcome of a run depends on, as a hash: equal keys need no second run."""

from __future__ import annotations

import hashlib
import io
import json
import tokenize
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import proof
from rosetta.results.records import Record

# The parts of a key, and what a reader calls them.
PARTS = {
    "notebook": "the notebook",
    "common": "common/",
    "environment": "the environment",
    "parameters": "the parameters",
    "data": "the data",
    "machine": "the machine",
}


# Of common/, what no run imports: for a reader's own models; and what those alone do that only run
# what others have trained.
NOT_IN_RUNS = ("porting.py",)
OF_INFERENCE = ("inference.py",)


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code_of(notebook: Mapping[str, Any]) -> list[str]:
    """Return the sources of the code cells, without those that the runner put in."""
    return [
        "".join(cell["source"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


def statements_of(source: str) -> list[str]:
    """Return the tokens of Python source, without comments, docstrings and blank lines.

    A comment that is put right does not make hours of records stale.
    """
    kept: list[str] = []
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        line.append(token)
        if token.type == tokenize.NEWLINE:
            indentation = [t for t in line if t.type in (tokenize.INDENT, tokenize.DEDENT)]
            rest = line[len(indentation) :]
            prose = [part.type for part in rest] == [tokenize.STRING, tokenize.NEWLINE]
            kept += [part.string for part in (indentation if prose else line)]
            line = []
    return kept


def _code(file: Path) -> list[str] | str:
    """Return the statements of a module, or its bytes in hex where it is not Python."""
    try:
        return statements_of(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, SyntaxError, tokenize.TokenError):
        return file.read_bytes().hex()


def of(parts: Mapping[str, str]) -> str:
    """Return the key made of its parts."""
    return digest(parts)


def changed(record: Record, parts: Mapping[str, str]) -> str | None:
    """Return which of these parts differ from those that a record was made with, in words."""
    before = record.get("key_parts", {})
    names = [PARTS[name] for name in parts if parts[name] != before.get(name)]
    return f"changed since: {', '.join(names)}" if names else proof.missing(record)


class Keys:
    """The keys of one project as its files are now; each file is read once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._notebooks: dict[Path, str] = {}
        self._environments: dict[tuple[str, str], str] = {}

    @cached_property
    def _common(self) -> dict[bool, str]:
        """The hashes of common/ for runs that train (True), and for those that do not."""
        found = sorted(self.project.common.glob("*.py"))
        files = [file for file in found if file.name not in NOT_IN_RUNS]
        parts = [[file.name, _code(file)] for file in files]
        training = [part for part in parts if part[0] not in OF_INFERENCE]
        return {True: digest(training), False: digest(parts)}

    def notebook(self, file: Path) -> str:
        """Return the hash of a notebook's code; of all its text where it is no notebook."""
        if file not in self._notebooks:
            content = file.read_bytes()
            try:
                self._notebooks[file] = digest(code_of(json.loads(content.decode("utf-8"))))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                self._notebooks[file] = hashlib.sha256(content).hexdigest()
        return self._notebooks[file]

    def environment(self, framework: Framework, device: str) -> str:
        """Return the hash of what the environment of a row is built from."""
        if (framework.name, device) not in self._environments:
            self._environments[framework.name, device] = digest(
                {
                    "python": framework.python,
                    "packages": framework.packages.get(device, ()),
                    "lock": self._text(f"{framework.environment}.lock"),
                    "build": self._build(framework),
                    "variables": dict(framework.variables),
                }
            )
        return self._environments[framework.name, device]

    def _build(self, framework: Framework) -> str | list[str] | None:
        # A script alone stands for itself, not as a list of one: so records keep their keys.
        texts = [self._text(script) for script in framework.build]
        return texts if len(texts) > 1 else next(iter(texts), None)

    def parts(
        self,
        cell: Cell,
        environment: str,
        parameters: Mapping[str, Any],
        data: Mapping[str, Any],
        machine: str,
    ) -> dict[str, str]:
        """Return the parts of a cell's key; `environment` is a hash.

        data: {"data", "weights", and where these came from: "data_source", "weights_source"}.
        """
        sources = (data.get(name) or {} for name in ("data_source", "weights_source"))
        sums = [source["sha256"] for source in sources if source.get("sha256")]
        return {
            **self.of_files(cell),
            "environment": environment,
            "parameters": digest(dict(parameters)),
            "data": digest([data["data"], data["weights"], *sums]),
            "machine": machine,
        }

    def of_files(self, cell: Cell) -> dict[str, str]:
        """Return the parts of a cell's key that its notebook and common/ make."""
        return {"notebook": self.notebook(cell.notebook), "common": self._common[cell.trains]}

    def why_stale(self, record: Record, cell: Cell | None) -> str | None:
        """Return what has changed since a record was made, in words; None where nothing has.

        Looks at the files alone, so that it holds for records of other machines too.
        """
        if cell is None:
            return "its row or its notebook is gone"
        parameters = {**record.get("parameters", {}), **cell.framework.parameters}
        now = {**self.of_files(cell), "parameters": digest(parameters)}
        if not record.get("environment", {}).get("here"):
            now["environment"] = self.environment(cell.framework, record.get("device", "cpu"))
        return changed(record, now)

    def _text(self, name: str) -> str:
        file = self.project.frameworks / name
        return file.read_text(encoding="utf-8") if file.is_file() else ""
