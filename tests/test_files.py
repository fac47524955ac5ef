"""Files are whole or not there, whoever else writes them and whatever ends the writer."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rosetta import files

WRITER = """
import sys
from pathlib import Path
from rosetta import files
letter, file = sys.argv[1], Path(sys.argv[2])
for _ in range(60):
    files.write_text(file, letter * 300_000)
"""


def test_of_several_writers_at_once_the_last_one_wins_whole(tmp_path: Path) -> None:
    file = tmp_path / "results.md"
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, letter, str(file)]) for letter in "abcd"]
    seen = set()
    while any(each.poll() is None for each in writers):
        if file.exists():
            text = file.read_text()
            assert len(text) == 300_000 and len(set(text)) == 1
            seen.add(text[0])
    assert [each.returncode for each in writers] == [0] * 4
    assert seen and list(tmp_path.iterdir()) == [file]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    files.write_text(file, "before")
    with pytest.raises(KeyboardInterrupt), files.whole(file) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


def test_a_name_as_long_as_a_disk_allows(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 255)
    files.write_text(file, "text")
    assert file.read_text() == "text"


def test_what_a_killed_writer_leaves_is_found_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    program = "import sys, time, rosetta.files as files; from pathlib import Path\n"
    program += "files.beside(Path(sys.argv[1])).touch(); time.sleep(60)"
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "a.txt")])
    while not list(tmp_path.iterdir()):
        time.sleep(0.05)
    files.remove_left([tmp_path])
    assert len(list(tmp_path.iterdir())) == 1
    writer.kill()
    writer.wait()
    assert not psutil.pid_exists(writer.pid)
    files.remove_left([tmp_path, tmp_path / "no folder"])
    assert not list(tmp_path.iterdir())
