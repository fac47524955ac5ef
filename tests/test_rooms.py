"""The rooms of rosetta/: imports run one way, as the map in CONTRIBUTING.md says."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ARROW = "→"
MODULES = sorted((ROOT / "rosetta").rglob("*.py"))


def rooms() -> dict[str, list[str]]:
    """Return the map: each room with those that it may import, from the top to the bottom."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(rf"^(\S+) +{ARROW} +(.+)$", text, re.MULTILINE)
    return {room: [] if below == "nothing" else below.split() for room, below in lines}


def room(module: str) -> str:
    """Return the room of a module such as "rosetta.runs.states", as the map spells it."""
    name = module.split(".")[1]
    return f"{name}/" if (ROOT / "rosetta" / name).is_dir() else f"{name}.py"


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[str]:
    """Yield the modules of rosetta that a source imports, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("rosetta."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            origin = str(node.module)
            if origin == "rosetta" or origin.startswith("rosetta."):
                whole = [f"{origin}.{each.name}" for each in node.names]
                yield from (name if is_module(name) else origin for name in whole)


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def trespasses(file: str, source: str) -> list[str]:
    """Return what a module imports from rooms that its own may not import."""
    own = room(file)
    allowed = {own, *rooms()[own]}
    return [f"{file} imports {each}" for each in imports(source) if room(each) not in allowed]


def test_the_map_shows_every_room() -> None:
    found = {room(module(file)) for file in MODULES if module(file) != "rosetta"}
    assert set(rooms()) == found


def test_the_map_runs_one_way() -> None:
    above = []
    for name, below in rooms().items():
        above.append(name)
        assert not set(below) & set(above), f"{name} may import what stands above it"
        assert set(below) <= set(rooms())


@pytest.mark.parametrize("file", MODULES, ids=lambda file: module(file))
def test_imports_keep_to_the_map(file: Path) -> None:
    if module(file) != "rosetta":
        assert trespasses(module(file), file.read_text(encoding="utf-8")) == []


def test_an_import_against_the_map_is_found() -> None:
    late = "def late():\n    from rosetta.runs import runner\n"
    for source in ("from rosetta import cli", "import rosetta.runs.states", late):
        assert len(trespasses("rosetta.data.download", source)) == 1
    assert trespasses("rosetta.data.download", "from rosetta.data.files import write_json") == []


def test_no_two_modules_import_each_other() -> None:
    graph = {
        module(file): set(imports(file.read_text(encoding="utf-8"))) - {module(file)}
        for file in MODULES
    }
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
