"""Files from the network: resumed where they broke off and checked against a SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

# Called with what is fetched, the bytes there are by now, and the bytes of the whole.
Progress = Callable[[str, int, int], None]

TIMEOUT = 6.0  # seconds to connect, and without a byte before a transfer counts as broken off
PATIENCE = 30.0  # seconds for an answer to begin
LEAST_SPEED = 20_000  # bytes a second, over each stretch of
STRETCH = 20.0  # seconds
ATTEMPTS = 5  # of one transfer, each going on where the last broke off
CHUNK = 1 << 18
SMALL = 1 << 20  # bytes of a file that is read at once


class Unreachable(Exception):
    """The place of a file could not be reached, in words; what arrived so far is kept."""


class TooSlow(Unreachable):
    """A transfer that would take for ever, in words: trying again would be no faster."""


class Damaged(Exception):
    """A file is not what its checksum or its format promise, in words."""


def fetch(url: str, target: Path, sha256: str, most: int, progress: Progress) -> None:
    """Download a file with this SHA-256; NAME.part keeps what arrived when it breaks off.

    Raises Unreachable, or Damaged where the file is wrong twice, or has more than `most` bytes.
    """
    part = target.with_name(target.name + ".part")
    for _ in range(2):  # a wrong file may come of a stale part: once more from the start
        _transfer(url, part, most, progress)
        found = digest(part)
        if found == sha256:
            part.replace(target)
            return
        part.unlink()
    raise Damaged(f"its SHA-256 begins with {found[:12]} and should begin with {sha256[:12]}")


def read(url: str) -> bytes:
    """Return the content of a small file. Raises Unreachable."""
    content = b""
    with _open(url) as response:
        for chunk in _chunks(url, response):
            content += chunk
            if len(content) > SMALL:
                raise Unreachable(f"it has more than {SMALL:,} bytes")
    return content


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _transfer(url: str, part: Path, most: int, progress: Progress) -> None:
    for attempt in range(ATTEMPTS):
        size = part.stat().st_size if part.exists() else 0
        try:
            _append(url, part, size, most, progress)
            return
        except TooSlow:
            raise
        except Unreachable:
            gained = part.exists() and part.stat().st_size > size
            if not gained or attempt == ATTEMPTS - 1:
                raise


def _append(url: str, part: Path, size: int, most: int, progress: Progress) -> None:
    with _open(url, size) as response:
        if response.status == 416:  # nothing beyond what is there: the checksum decides
            return
        done = size if response.status == 206 else 0
        total = done + _length(response)
        _check_size(part, total, most)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if done else "wb") as stream:
            for chunk in _chunks(url, response):
                stream.write(chunk)
                done += len(chunk)
                _check_size(part, done, most)
                progress(part.stem, done, max(total, done))


def _check_size(part: Path, size: int, most: int) -> None:
    if size > most:
        part.unlink(missing_ok=True)
        raise Damaged(f"it has {size:,} bytes or more, and should not have {most:,}")


def _length(response: http.client.HTTPResponse) -> int:
    """Return how much is said to come, 0 where that is not said in digits."""
    said = response.headers.get("Content-Length") or ""
    return int(said) if re.fullmatch(r"[0-9]{1,18}", said) else 0


def _open(url: str, start: int = 0) -> http.client.HTTPResponse:
    headers = {"User-Agent": "rosetta"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        return _in_time(
            lambda: urllib.request.urlopen(request, timeout=TIMEOUT, context=_certificates())
        )
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            return error  # type: ignore[return-value]
        raise Unreachable(_describe(url, error)) from None
    except ValueError as error:
        raise Unreachable(f"this is no address: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_describe(url, error)) from None


def _in_time(call: Callable[[], http.client.HTTPResponse]) -> http.client.HTTPResponse:
    """Return what a call returns, or raise what it raises; TimeoutError when it takes too long.

    An answer whose head comes letter by letter never runs into the time limit of a socket.
    """
    outcome: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            outcome.put(call())
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        found = outcome.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError from None
    # An HTTPError is an answer and an error.
    if isinstance(found, Exception):
        raise found
    return found


def _chunks(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body; only reading is guarded, so that a full disk is not taken for the network."""
    left, began, came = _length(response), time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(CHUNK)  # as much as there is: read() would wait for all of it
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_describe(url, error)) from None
        if not chunk:
            break
        left -= len(chunk)
        came += len(chunk)
        yield chunk
        if time.monotonic() - began > STRETCH:
            if came < LEAST_SPEED * STRETCH:
                raise TooSlow(f"{_host(url)} sends less than {LEAST_SPEED / 1000:.0f} kB a second")
            began, came = time.monotonic(), 0
    if left > 0:
        raise Unreachable(f"{_host(url)} broke the transfer off")


def _certificates() -> ssl.SSLContext:
    """Trust what the system trusts, and what browsers do: some Pythons come without any."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _describe(url: str, error: Exception) -> str:
    """Return in words why a host could not be reached."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{_host(url)} answered {error.code} ({error.reason})"
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        words = "its name was not found"
    elif isinstance(reason, TimeoutError):
        words = "no answer in time"
    else:
        words = str(getattr(reason, "strerror", None) or reason or type(reason).__name__).lower()
    return f"{_host(url)} could not be reached ({words})"
