#!/usr/bin/env python3
"""Execute, check, measure and compare the notebooks: python run_all.py --help."""

import sys

if sys.version_info < (3, 11):  # this file itself is readable to every Python
    sys.stderr.write(
        "run_all.py needs Python 3.11 or newer and this is %d.%d: start it with a newer one, as in "
        "'python3.12 run_all.py'\n" % sys.version_info[:2]
    )
    sys.exit(2)

from rosetta import bootstrap

if __name__ == "__main__":
    bootstrap.enter()
    from rosetta.cli import main

    sys.exit(main())
