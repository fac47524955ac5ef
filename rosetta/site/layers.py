"""The layers page: which GRU and which batch normalisation each framework computes.

What is known of its layers stands with a row, under [[gru]] and [[batch_norm]] in
frameworks/NAME.site.toml. What moving weights takes is not said there: it follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from rosetta.errors import UserError
from rosetta.site.families import Family, where

Gate = Literal["reset", "update", "new"]
CANONICAL: tuple[Gate, ...] = ("reset", "update", "new")
Names = Annotated[list[str], Meta(min_length=1)]


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Layers that compute the same, and the names of their arrays.

    `source` is where the project itself says so: of what is installed, tests say it instead.
    """

    layers: Names
    arrays: Names
    source: Annotated[str, Meta(pattern="^https://")] | None = None
    note: str = ""


class Gru(Layer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GRU: where it resets, what its update gate weighs, and how its arrays are laid out."""

    reset: Literal["after", "before"]  # the product with the recurrent kernel
    update: Literal["old", "new"]  # the state that the update gate is multiplied with
    biases: Literal["both", "input", "new"]  # `new`: the state's side has one for that gate alone
    axes: Literal["out, in", "in, out"]  # of the kernels
    gates: tuple[Gate, Gate, Gate] | None = None  # None: an array for each, told by its name

    def __post_init__(self) -> None:
        if self.gates and set(self.gates) != set(CANONICAL):
            raise ValueError(f"gates must name each of {', '.join(CANONICAL)} once")

    @property
    def maps(self) -> bool:
        """Whether its weights have a twin in the canonical GRU, which resets after the product."""
        return self.reset == "after"

    @property
    def there(self) -> str:
        """What its weights need to run in the canonical GRU, in words."""
        steps = []
        if self.gates and self.gates != CANONICAL:
            steps.append("the gates in another order")
        if self.update == "new":
            steps.append("kernels and biases of the update gate negated")
        if self.biases == "input":
            steps.append("a second bias of zeros")
        if self.biases == "new":
            steps.append("zeros for the state's biases of r and z")
        return f"yes: {', '.join(steps)}" if steps else "yes, as they are"

    @property
    def back(self) -> str:
        """What canonical weights need to run in it, in words."""
        steps = {"both": "yes, the same", "new": "yes, and c of r and z added to b"}
        return steps.get(self.biases, "only where c of n is zero; c of r and z added to b")


class BatchNorm(Layer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch normalisation; its arrays are named in the order scale, shift, mean, variance."""

    weighs: Literal["old", "new"]  # the value that the momentum is multiplied with
    momentum: float | None = None
    time_constant: float | None = None  # in examples, instead of a momentum
    epsilon: float
    variance: Literal["biased", "unbiased"]  # that the running variance takes in

    def __post_init__(self) -> None:
        if (self.momentum is None) == (self.time_constant is None):
            raise ValueError("momentum or time_constant: one of the two")

    @property
    def weight(self) -> str:
        """The default weight of the value that it weighs."""
        if self.time_constant is not None:
            return f"exp(−k / {self.time_constant:,.0f}) for a batch of k examples"
        return f"{self.momentum:g}"

    @property
    def small(self) -> str:
        """The default epsilon, as it is written in code."""
        mantissa, exponent = f"{self.epsilon:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"


@dataclass(frozen=True)
class Table:
    """The layers of all families, each with the family's title."""

    gru: Sequence[tuple[str, Gru]]
    batch_norm: Sequence[tuple[str, BatchNorm]]


Kind = TypeVar("Kind", bound=Layer)


def load(families: Mapping[str, Family]) -> Table:
    """Return what the families say of their layers. Raises UserError for what none may say."""
    return Table(
        gru=sorted(_read(families, "gru", Gru), key=lambda row: row[1].reset),
        batch_norm=list(_read(families, "batch_norm", BatchNorm)),
    )


def _read(families: Mapping[str, Family], key: str, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    for name, family in families.items():
        for number, entry in enumerate(family.layers.get(key, []), start=1):
            try:
                yield family.title, msgspec.convert(entry, kind)
            except msgspec.ValidationError as error:
                raise UserError(
                    f"{where(name)}: {key} {number}: {error}: see frameworks/README.md"
                ) from None
