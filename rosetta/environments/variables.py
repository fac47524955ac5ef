"""The environment variables of a row's kernel, on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rosetta.environments import processor
from rosetta.registry import CORES, Variable


def resolve(declared: Mapping[str, Variable], already: Collection[str] = ()) -> dict[str, str]:
    """Return the variables of a row as they are on this machine, by name.

    "{cores}" in a value becomes the number of physical cores that this process may use, unless the
    variable is among those set `already`: who limits the threads of a run limits them for all
    rows. A variable for a processor other than this one is left out.
    """
    found = {}
    for name, variable in declared.items():
        value = variable if isinstance(variable, str) else variable["value"]
        wanted = "" if isinstance(variable, str) else variable.get("processor", "")
        if processor.has(wanted) and not (CORES in value and name in already):
            found[name] = value.replace(CORES, str(processor.cores()))
    return found
