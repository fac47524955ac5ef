"""What must not be published of this machine: paths, secrets, the names of user and host."""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from rosetta.project import Project, home

Clean = Callable[[str], str]

# Folders that are the same on every machine say nothing about this one.
COMMON_FOLDERS = {Path("/"), Path("/usr"), Path("/usr/local"), Path("/opt"), Path("/tmp")}
# What the name of a variable holds whose value is nobody else's business.
SECRET = ("TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "KEY", "AUTH", "COOKIE")
LEAST_SECRET = 4  # characters: what is shorter hides nothing, and is found in every text
WORD_LENGTH = 8  # up to here a secret is replaced as a whole word only
NO_SECRETS = {"true", "false", "none", "null", "auto", "default", "enabled", "disabled"}
# Names that thousands of machines share.
COMMON_NAMES = {
    "admin", "app", "debian", "docker", "guest", "host", "jovyan", "localhost", "nobody", "root",
    "runner", "ubuntu", "user", "vagrant",
}  # fmt: skip
DEEPEST = 100  # levels of a JSON value
# A cell's warnings name it by a temporary file that does not exist.
CELL_FILE = re.compile(r"ipykernel_\d{1,20}/\d{1,20}\.py")
BEFORE_CELL_FILE = re.compile(r"[^\s'\"(]*\Z")
LONGEST_PATH = 4096
# Where a word begins: a colour's code ends in a letter, as in "\x1b[32m/home".
COLOUR = r"(?<=[\d;\[]m)"
WORD_BEGINS = rf"(?:{COLOUR}|(?<!\w))"


class TooDeep(ValueError):
    """A JSON value that is nested so deeply that nothing is to be read from it."""


class Cleaner:
    """Makes a text fit to publish; `replaced` says in words what else than paths it has replaced.

    The repository's paths become relative, those of `environments` (prefixes of interpreters) begin
    with "environment", those below the home folder with "~". Values of environment variables whose
    names look like secrets, the user's and the host's names give way to what they are. Takes a time
    that grows with the length of the text alone.
    """

    def __init__(self, project: Project, environments: Iterable[str | Path] = ()) -> None:
        self.replaced: set[str] = set()
        self._secrets = dict(_secrets(os.environ))
        self._secret = _secret_pattern(self._secrets)
        self._folders = _folders(project, environments)
        self._path = _path_pattern(self._folders)
        self._user, self._host = _words(_user_names()), _words(_host_names(), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        text = text.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be written
        if self._secret:
            text = self._secret.sub(self._without_secret, text)
        text = _without_cell_files(text)
        text = self._path.sub(self._shorter, text)
        text = self._without_names(text, self._user, "user")
        return self._without_names(text, self._host, "host")

    def json(self, value: Any, depth: int = 0) -> Any:
        """Return a JSON value with every text in it cleaned. Raises TooDeep."""
        if depth > DEEPEST:
            raise TooDeep("it is too deeply nested")
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(key)): self.json(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item, depth + 1) for item in value]
        return value

    def _without_secret(self, match: re.Match[str]) -> str:
        name = self._secrets[match[0]]
        self.replaced.add(f"the value of {name}")
        return f"(value of {name})"

    def _shorter(self, match: re.Match[str]) -> str:
        name, slash = self._folders[match["folder"]], match["slash"] or ""
        return name + slash if name else ("" if slash else ".")

    def _without_names(self, text: str, names: re.Pattern[str] | None, word: str) -> str:
        if names is None:
            return text
        text, count = names.subn(word, text)
        if count:
            self.replaced.add(f"the name of the {word}")
        return text


def _secrets(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the spellings of what must stay secret, with the variable that holds it."""
    for name, value in variables.items():
        found = [value] if any(word in name.upper() for word in SECRET) else []
        for secret in [*found, *_passwords(value)]:
            lines = [line for line in secret.split("\n") if len(line) >= 2 * WORD_LENGTH]
            for part in [secret.strip(), *lines]:
                if _is_secret(part):
                    raw = part.encode("utf-8", "surrogateescape")
                    spellings = {
                        part,
                        quote(raw, safe=""),
                        json.dumps(part)[1:-1],
                        repr(part)[1:-1],
                    }
                    for spelling in spellings | {base64.b64encode(raw).decode()}:
                        yield spelling, name


def _passwords(value: str) -> list[str]:
    """Return the password in an address such as https://user:password@host, if there is one."""
    if "://" not in value:
        return []
    try:
        password = urlsplit(value).password
    except ValueError:
        return []
    return [password] if password else []


def _is_secret(value: str) -> bool:
    numeric = value.replace(".", "").isdigit() and len(value) <= WORD_LENGTH
    return len(value) >= LEAST_SECRET and value.lower() not in NO_SECRETS and not numeric


def _secret_pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(secrets, key=len, reverse=True)
    parts = [
        rf"{WORD_BEGINS}{re.escape(each)}(?!\w)" if len(each) <= WORD_LENGTH else re.escape(each)
        for each in longest_first
    ]
    return re.compile("|".join(parts)) if parts else None


def _user_names() -> set[str]:
    found = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")}
    with contextlib.suppress(OSError, KeyError, ImportError):  # a user id without an entry
        found.add(getpass.getuser())
    return found


def _host_names() -> set[str]:
    full = {socket.gethostname(), os.environ.get("HOSTNAME", "")}
    return full | {name.split(".")[0] for name in full}


def _words(names: Iterable[str], flags: int = 0) -> re.Pattern[str] | None:
    """Return what finds these names as whole words; None where they say nothing."""
    telling = {name for name in names if len(name) > 1 and name.lower() not in COMMON_NAMES}
    longest_first = sorted(telling, key=len, reverse=True)
    if not longest_first:
        return None
    return re.compile(rf"{WORD_BEGINS}(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", flags)


def _without_cell_files(text: str) -> str:
    kept, end = [], 0
    for match in CELL_FILE.finditer(text):
        before = BEFORE_CELL_FILE.search(
            text[max(end, match.start() - LONGEST_PATH) : match.start()]
        )
        start = match.start() - (len(before[0]) if before else 0)
        kept += [text[end:start], "cell"]
        end = match.end()
    return "".join([*kept, text[end:]])


def _folders(project: Project, environments: Iterable[str | Path]) -> dict[str, str]:
    """Return what folders are called, by each spelling of theirs."""
    names = {project.root: "", Path(tempfile.gettempdir()): "tmp"}
    if own := home():
        names[own] = "~"
    for folder in map(Path, environments):
        if not folder.is_relative_to(project.root):
            names[folder] = "environment"
    return {str(path): name for folder, name in names.items() for path in _spellings(folder)}


def _spellings(folder: Path) -> set[Path]:
    """Return a folder as it is named and as it is, without what every machine has."""
    return {folder.absolute(), folder.resolve()} - COMMON_FOLDERS


def _path_pattern(folders: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(folders, key=len, reverse=True)
    names = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?:{COLOUR}|(?<![\w.~-]))(?P<folder>{names})(?:(?P<slash>/)|(?![\w.-]))")
