"""The two ways in which something may end early without being a fault of the program."""


class UserError(Exception):
    """Wrong input or a wrong surrounding: one line that names the fix; the CLI exits with 2."""


class Unavailable(Exception):
    """A row cannot run on this machine: the reason, in words, for its record."""
