"""Start a kernel: python start_kernel.py -f CONNECTION_FILE [FOLDER TO IMPORT FROM]...

In any Python from 3.6 on.

Two things that `python -m ipykernel_launcher` does not do: what a framework writes to the file
descriptors, past sys.stdout and sys.stderr, goes to the log and not into the notebook, and a kernel
of a run dies with the process that drives it.
"""

import os
import signal
import sys

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def die_with(parent):  # type: (int) -> None
    """Let the system kill this process when its parent dies, even of kill -9. Linux alone can."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # which died before
        sys.exit(1)


def main():  # type: () -> None
    if "ROSETTA_RUN" in os.environ:  # JupyterLab looks after its own
        die_with(int(os.environ["JPY_PARENT_PID"]))
    # In place of the folder of this file: nothing in that is for notebooks to import.
    sys.path[:1] = sys.argv[3:]
    from ipykernel.kernelapp import IPKernelApp

    options = []
    if hasattr(IPKernelApp, "capture_fd_output"):  # ipykernel of Python 3.6 never captures them
        options.append("--IPKernelApp.capture_fd_output=False")
    IPKernelApp.launch_instance(argv=sys.argv[1:3] + options)


if __name__ == "__main__":
    main()
