"""The shape of a parsed expression: five kinds of node, each knowing its column and how deep it nests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """Text, a number, or True and False; `bare` says that it was a name without quotes, such as `vbTextCompare`."""

    column: int
    value: object
    bare: bool = False
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Attribute:
    """`[name]`, a property of the source user."""

    column: int
    name: str
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Empty:
    """A position between two commas that was left empty."""

    column: int
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """`Name(arguments)`."""

    column: int
    name: str
    arguments: tuple["Node", ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, one of `= <> > >= < <=`."""

    column: int
    operator: str
    left: "Node"
    right: "Node"
    depth: int


@dataclass(frozen=True, slots=True)
class Concatenation:
    """`part & part & ...`."""

    column: int
    parts: tuple["Node", ...]
    depth: int


Node = Constant | Attribute | Empty | Call | Comparison | Concatenation
