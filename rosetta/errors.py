"""The ways in which something may end early without being a fault of the program."""

import errno

# What stands in the way on the side of the machine, and in which words.
MACHINE_ERRORS = {
    errno.ENOSPC: "the disk is full: make room and run again",
    errno.EDQUOT: "the disk quota is used up: make room and run again",
    errno.ENOMEM: "the memory is full: close what else is running and run again",
    errno.EACCES: "no permission: make it writable for you, or work on a copy of your own",
    errno.EPERM: "no permission: make it writable for you, or work on a copy of your own",
    errno.EROFS: "this is a read-only disk: work on a copy elsewhere",
}


class UserError(Exception):
    """Wrong input or a wrong surrounding: one line that names the fix; the CLI exits with 2."""


class Unavailable(Exception):
    """A row cannot run on this machine: the reason, in words, for its record."""
