"""The environment variables of a row's kernel, on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rosetta.environments import processor
from rosetta.registry import CORES, Variable


def resolve(
    declared: Mapping[str, Variable],
    device: str,
    already: Collection[str] = (),
    bound: int = 0,
) -> dict[str, str]:
    """Return the variables of a row as they are on a device of this machine, by name.

    "{cores}" in a value becomes the number of physical cores that this process may use, or of
    hardware threads that the run is `bound` to, if that is less; unless the variable is among
    those set `already`: who limits the threads of a run limits them for all rows. A variable for
    another processor or the other device is left out.
    """
    cores = min(processor.cores(), bound or processor.cores())
    found = {}
    for name, variable in declared.items():
        value = variable if isinstance(variable, str) else variable["value"]
        only: Mapping[str, str] = {} if isinstance(variable, str) else variable
        holds = only.get("device", device) == device and processor.has(only.get("processor", ""))
        if holds and not (CORES in value and name in already):
            found[name] = value.replace(CORES, str(cores))
    return found
