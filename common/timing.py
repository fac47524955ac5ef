"""Clocks and memory: seconds since the process started, its peak memory, the time of a call."""

import os
import time

_IMPORTED = time.time()


def process_seconds():
    """Return the seconds since this process started, or else since this module's import."""
    try:
        with open("/proc/self/stat") as file:
            started = int(file.read().rpartition(")")[2].split()[19]) / float(
                os.sysconf("SC_CLK_TCK")
            )
        with open("/proc/uptime") as file:
            return float(file.read().split()[0]) - started
    except (OSError, ValueError):
        pass
    try:
        import psutil

        return time.time() - psutil.Process().create_time()
    except ImportError:
        return time.time() - _IMPORTED


def reset_peak_memory():
    """Let the peak start anew, where the system can (Linux), so that the check is not in it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak_memory_bytes():
    """Return the peak resident memory since the last reset, in bytes, or None where unknown."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:
        return None


def median_seconds(function, least_calls, least_seconds=1.0, most_calls=20):
    """Return the median seconds of `least_calls` or more, until `least_seconds` or `most_calls`."""
    seconds = []
    while len(seconds) < least_calls or (
        sum(seconds) < least_seconds and len(seconds) < most_calls
    ):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[len(seconds) // 2]
