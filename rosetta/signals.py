"""The signals that end a command as Ctrl-C does: all that it has started ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Asked to end; the terminal is closed; Ctrl-\; Ctrl-Break on Windows.
ENDINGS = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Let these signals raise KeyboardInterrupt, those that are ignored (by nohup) left ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    heard = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        # One is enough: a terminal that is closed sends several, and the clearing-up must go on.
        # They are not set to SIG_IGN: of one that has come already, Python would say so on stderr.
        if heard:
            return
        heard = True
        if number == getattr(signal, "SIGHUP", None):
            _let_go_of_the_terminal()
        raise KeyboardInterrupt

    for name in ENDINGS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _let_go_of_the_terminal() -> None:
    """Write to nowhere from now on: on a terminal that is gone, each line would be an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
