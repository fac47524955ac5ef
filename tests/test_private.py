"""What must not be published of a machine: paths, secrets, the names of its user and host."""

import base64
import getpass
import json
import tempfile
import time
from pathlib import Path

import pytest

from rosetta.project import Project
from rosetta.results import private
from rosetta.results.private import Cleaner, TooDeep


def test_paths_become_relative_to_what_a_reader_knows(project: Project) -> None:
    clean = Cleaner(project, ["/opt/some/python"])
    root, home = project.root, Path.home()
    assert clean(f"in {root}/notebooks/a.ipynb:3") == "in notebooks/a.ipynb:3"
    assert clean(f"cwd='{root}'") == "cwd='.'"
    assert clean(f"File \x1b[32m{root}/a.py\x1b[39m") == "File \x1b[32ma.py\x1b[39m"
    assert clean(f"{root}.old and {root}2") != ".old and 2"
    assert clean(f"{root}/.envs/pytorch/lib/x.py") == ".envs/pytorch/lib/x.py"
    assert clean(f"at {home}/.cache/x") == "at ~/.cache/x"
    assert clean("/opt/some/python/lib/x.py") == "environment/lib/x.py"
    assert clean(f"{tempfile.gettempdir()}/ipykernel_12/34.py:1: Warning") == "cell:1: Warning"
    assert clean("('/a/ipykernel_1/2.py', \"ipykernel_3/4.py\")") == "('cell', \"cell\")"
    assert clean("a / b, 1/2, and/or, https://x.org/opt") == "a / b, 1/2, and/or, https://x.org/opt"
    assert clean.replaced == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOO_TOKEN", "s3cr3t-value"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPx"),
        ("db_password", "hunter2"),
        ("GITHUB_PAT_TOKEN", 'quo"ted\\value'),
        ("SERVICE_CREDENTIALS", "user name and more"),
        ("SSH_PRIVATE_KEY", "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7v9XQ\n-----END KEY-----"),
        ("INDEX_URL", "https://someone:open-sesame@packages.example/simple"),
    ],
)
def test_the_value_of_a_secret_is_replaced_however_it_is_spelled(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    clean = Cleaner(project)
    secret = "open-sesame" if name == "INDEX_URL" else value
    for spelling in (
        secret,
        json.dumps(secret),
        repr(secret),
        f"a={secret};",
        secret.split("\n")[-2:][0],
    ):
        cleaned = clean(f"before {spelling} after")
        assert spelling.strip("'\"") not in cleaned
        assert cleaned.startswith("before ") and cleaned.endswith(" after")
    encoded = base64.b64encode(secret.encode()).decode()
    assert encoded not in clean(f"Basic {encoded}")
    assert clean.replaced == {f"the value of {name}"}
    assert secret not in json.dumps(clean.json({secret: [{"a": secret}]}))


def test_what_is_no_secret_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_AUTH", "true")
    monkeypatch.setenv("KEY_SIZE", "2048")
    monkeypatch.setenv("TOKEN", "ab")
    monkeypatch.setenv("API_KEY", "loss")
    clean = Cleaner(project)
    text = "it is true of 2048 rows, cab, glossy"
    assert clean(text) == text and not clean.replaced
    assert clean("the loss") == "the (value of API_KEY)"


def test_the_names_of_user_and_host_are_replaced_as_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada.lovelace")
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(private.socket, "gethostname", lambda: "Engine-7.example.org")
    clean = Cleaner(project)
    assert clean("\x1b[1;32mada\x1b[0m, \x1b[mada") == "\x1b[1;32muser\x1b[0m, \x1b[muser"
    assert clean("ada on engine-7, a nadazero") == "user on host, a nadazero"
    assert clean("/home/ada.lovelace/x at ENGINE-7.example.org:80") == "/home/user/x at host:80"
    assert clean.replaced == {"the name of the user", "the name of the host"}


def test_names_that_all_machines_share_stay(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "HOSTNAME"):
        monkeypatch.setenv(name, "root")
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    monkeypatch.setattr(private.socket, "gethostname", lambda: "localhost")
    assert Cleaner(project)("the root at localhost") == "the root at localhost"


def test_a_user_without_an_entry_and_without_a_home(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise KeyError("uid not found")

    def homeless() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(getpass, "getuser", missing)
    monkeypatch.setattr(Path, "home", homeless)
    assert Cleaner(project)(f"{project.root}/a") == "a"


def test_half_a_character_and_a_deep_value(project: Project) -> None:
    clean = Cleaner(project)
    assert clean("a\ud800b") == "a?b"
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(TooDeep):
        clean.json(deep)


LONG = {
    "one letter": "x" * 5_000_000,
    "slashes": "/" * 5_000_000,
    "paths": "/a" * 2_000_000,
    "carriage returns": "x\r" * 2_000_000,
    "cells": "ipykernel_1/2.py" * 300_000,
    "half cells": "ipykernel_1/2.p" * 300_000,
    "quotes and folders": "'/tmp" * 1_000_000,
    "escapes": "\x1b[1;" * 1_000_000,
    "addresses": "https://" * 600_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_the_time_it_takes_grows_with_the_length_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FOO_TOKEN", "x" * 40)
    clean = Cleaner(project)

    def seconds(part: str) -> float:
        began = time.process_time()
        project.sanitise(clean(part))
        return time.process_time() - began

    short = min(seconds(text[: len(text) // 10]) for _ in range(3))
    assert seconds(text) < 40 * short + 0.5  # ten times as long; quadratic would be a hundred
