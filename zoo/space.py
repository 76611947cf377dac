"""The rows of a search space: one hyperparameter each, as plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from zoo.registry import suggestion

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What every row has.

    Attributes:
        default: The value of a starting point that leaves this row out.
        argument: The builder argument that the row has a part in; its own name where `None`.
        when: Name and values of another row: this one applies only while that has one of them.
    """

    default: Any = None
    argument: str | None = None
    when: tuple[str, tuple[Any, ...]] | None = None

    def _settle_default(self, allowed: bool, fallback: Any) -> None:
        if not allowed:
            object.__setattr__(self, "default", fallback)


@dataclasses.dataclass(frozen=True)
class Int(Row):
    """An integer from `low` to `high`: every `step`-th, or with "log" each `step` times the last.

    Example:
        >>> Int(16, 100, step=2, sampling="log").options
        (16, 32, 64)
    """

    kind: ClassVar[type] = int
    low: int
    high: int
    step: int = dataclasses.field(default=1, kw_only=True)
    sampling: Literal["linear", "log"] = dataclasses.field(default="linear", kw_only=True)

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise ValueError(f"must have 1 <= low <= high, received ({self.low}, {self.high})")
        self._settle_default(self.allows(self.default), self.low)

    @property
    def options(self) -> tuple[int, ...]:
        """Every value that can be drawn."""
        if self.sampling == "linear":
            return tuple(range(self.low, self.high + 1, self.step))
        count = int(math.log(self.high / self.low, self.step) + 1e-9) + 1
        return tuple(self.low * self.step**index for index in range(count))

    def allows(self, value: Any) -> bool:
        """Tell whether a value can be drawn."""
        return value in self.options


@dataclasses.dataclass(frozen=True)
class Float(Row):
    """A number from `low` to `high`, drawn evenly, or with "log" evenly in the exponent.

    Attributes:
        scale: Name of another row and a factor for some of its values, by which the drawn number
            is multiplied.

    Example:
        >>> Float(1e-4, 0.1, sampling="log").allows(0.01)
        True
    """

    kind: ClassVar[type] = float
    low: float
    high: float
    sampling: Literal["linear", "log"] = dataclasses.field(default="linear", kw_only=True)
    scale: tuple[str, Mapping[Any, float]] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high < math.inf or (self.low == 0 and self.sampling == "log"):
            least = "0 < low" if self.sampling == "log" else "0 <= low"
            raise ValueError(f"must have {least} <= high, received ({self.low}, {self.high})")
        self._settle_default(self.default is not None and self.allows(self.default), self.low)

    @property
    def options(self) -> tuple[float, ...]:
        """The value where there is only one; a range lists none."""
        return (self.low,) if self.low == self.high else ()

    def allows(self, value: Any) -> bool:
        """Tell whether a value can be drawn, but for rounding."""
        return self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)

    def factor(self, values: Mapping[str, Any]) -> float:
        """Give the factor that the scale has beside the other rows' values."""
        return self.scale[1].get(values.get(self.scale[0]), 1.0) if self.scale else 1.0


@dataclasses.dataclass(frozen=True)
class Choice(Row):
    """One of some values, all of one kind: strings, numbers, or `True` and `False`.

    Example:
        >>> Choice(("max", "average")).default
        'max'
    """

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("must have at least one choice, received none")
        kinds = {type(option) for option in self.options}
        if kinds == {int, float}:
            object.__setattr__(self, "options", tuple(map(float, self.options)))
        elif len(kinds) > 1 or kinds - {int, float, str, bool}:
            raise ValueError(
                f"must have choices of one kind, numbers, strings or booleans, received "
                f"{self.options}: derive others, such as tuples, inside the builder"
            )
        self._settle_default(self.allows(self.default), self.options[0])

    @property
    def kind(self) -> type:
        """Type of the values."""
        return type(self.options[0])

    def allows(self, value: Any) -> bool:
        """Tell whether a value can be drawn."""
        return value in self.options


Space = Mapping[str, Int | Float | Choice]


def row_from(kind: str, values: Mapping[str, Any]) -> Int | Float | Choice:
    """Make a row of its kind and its values, also after JSON."""
    values = dict(values)
    for name in ("options", "when", "scale"):
        if values.get(name) is not None:
            values[name] = tuple(
                tuple(value) if isinstance(value, list) else value for value in values[name]
            )
    return {"Int": Int, "Float": Float, "Choice": Choice}[kind](**values)


_words = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}


def override(
    rows: Space, fixed: Mapping[str, Any] | None = None, ranges: Mapping[str, Any] | None = None
) -> dict[str, Int | Float | Choice]:
    """Fix values of a space, and narrow or widen its ranges.

    Args:
        rows: The space.
        fixed: Value by row name.
        ranges: New range by row name: a tuple `(low, high)` for a row of numbers, or a list of
            choices for any row.

    Returns:
        The new space; conditions that always or never hold by now are resolved. A row that a
        caller changes has no `scale` any more: its values are meant as they stand.

    Raises:
        ValueError: If a name is unknown (the message suggests close ones) or given twice, or a
            value is of the wrong kind or out of bounds.

    Example:
        >>> rows = {"optimizer": Choice(("sgd", "adam")), "rate": Float(0.1, 1.0)}
        >>> override(rows, {"optimizer": "sgd"}, {"rate": (0.01, 2)})["rate"].high
        2.0
    """
    fixed, ranges = fixed or {}, ranges or {}
    for name in (*fixed, *ranges):
        _require_known(name, rows)
        if name in fixed and name in ranges:
            raise ValueError(f"{name!r} is in `fixed` and in `ranges`: leave one of the two out.")
    changed = {
        **rows,
        **{name: _fix(name, rows[name], value) for name, value in fixed.items()},
        **{name: _change_range(name, rows[name], wanted) for name, wanted in ranges.items()},
    }
    resolved = resolve_conditions(changed, {name: row.options for name, row in changed.items()})
    for name in (*fixed, *ranges):
        if name not in resolved:
            parent, values = rows[name].when or ("", ())
            raise ValueError(
                f"{name!r} applies only where {parent!r} is {' or '.join(map(repr, values))}: "
                f"leave it out, or let {parent!r} be one of these."
            )
    return resolved


def start_at(rows: Space, start: Mapping[str, Any]) -> dict[str, Int | Float | Choice]:
    """Make values the defaults of a space."""
    for name, value in start.items():
        _require_known(name, rows)
        _require_kind(name, rows[name], value)
    values = {**default_values(rows), **start}
    started = dict(rows)
    for name, value in start.items():
        row = rows[name]
        default = value / row.factor(values) if isinstance(row, Float) else value
        if not row.allows(default):
            drawn = ", ".join(map(str, row.options))
            if isinstance(row, Float):
                drawn = f"{row.low:g} to {row.high:g}"
            raise ValueError(
                f"`start` has {name}={value!r}, which is outside of the search: {drawn}. "
                "Choose another value, or widen the row with `ranges`."
            )
        started[name] = dataclasses.replace(row, default=default)
    if idle := set(start) - set(default_values(started)):
        name = min(idle)
        raise ValueError(f"`start` has {name!r}, which needs {rows[name].when}: start from it.")
    return started


def default_values(rows: Space) -> dict[str, Any]:
    """Give the default of each row that applies."""
    values: dict[str, Any] = {}
    for name, row in rows.items():
        if row.when is None or values.get(row.when[0]) in row.when[1]:
            values[name] = row.default
    return values


def plain_values(rows: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what a tuner drew into the values that it stands for."""
    values = {name: row.kind(drawn[name]) for name, row in rows.items() if name in drawn}
    for name in values:
        if isinstance(row := rows[name], Float):
            values[name] *= row.factor(values)
    return values


def own_arguments(rows: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the values whose rows are builder arguments by themselves."""
    return {name: value for name, value in values.items() if rows[name].argument is None}


def halving(first: int, depth: int) -> tuple[int, ...]:
    """Give widths that halve layer by layer."""
    return tuple(max(first >> layer, 1) for layer in range(depth))


def doubling(first: int, depth: int, most: int) -> tuple[int, ...]:
    """Give widths that double layer by layer."""
    return tuple(min(first << layer, max(first, most)) for layer in range(depth))


def describe_values(values: Mapping[str, Any]) -> str:
    """Lay values out in one line.

    Example:
        >>> describe_values({"optimizer": "sgd", "learning_rate": 0.01234567})
        'optimizer=sgd, learning_rate=0.0123'
    """
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def _fix(name: str, row: Int | Float | Choice, value: Any) -> Int | Float | Choice:
    if isinstance(row, Choice):
        return _change_range(name, row, [value])
    return _change_range(name, dataclasses.replace(row, sampling="linear"), (value, value))


def _change_range(name: str, row: Int | Float | Choice, wanted: Any) -> Int | Float | Choice:
    is_pair = isinstance(wanted, tuple) and len(wanted) == 2 and not isinstance(row, Choice)
    if not is_pair and not (isinstance(wanted, list) and wanted):
        pair = "" if isinstance(row, Choice) else "a tuple (low, high) or "
        raise ValueError(f"The range {name!r} must be {pair}a list; received {wanted!r}.")
    values = [_require_kind(name, row, value) for value in wanted]
    if isinstance(row, Choice):
        return dataclasses.replace(row, options=tuple(values))
    low, high = values if is_pair else (min(values), max(values))
    try:
        changed = dataclasses.replace(row, low=low, high=high)
    except ValueError as error:
        raise ValueError(f"The range of {name!r} {error}.") from error
    if not is_pair:
        return Choice(tuple(values), default=row.default, argument=row.argument, when=row.when)
    return dataclasses.replace(changed, scale=None) if isinstance(changed, Float) else changed


def resolve_conditions(
    rows: Space, options: Mapping[str, Sequence[Any]]
) -> dict[str, Int | Float | Choice]:
    """Drop rows that can never apply with these options of others; and what always holds."""
    resolved = dict(rows)
    for name, row in rows.items():
        if row.when is None or row.when[0] not in options:
            continue
        parent, values = row.when
        matches = [option in values for option in options[parent]]
        if not any(matches):
            del resolved[name]
        elif all(matches):
            resolved[name] = dataclasses.replace(row, when=None)
    return resolved


def _require_known(name: str, rows: Space) -> None:
    if name not in rows:
        raise ValueError(f"Unknown hyperparameter {name!r}. {suggestion(name, rows)}")


def _require_kind(name: str, row: Int | Float | Choice, value: Any) -> Any:
    """Check that a value has the row's kind; numbers of numpy become Python's."""
    accepted = {int: Integral, float: Real}.get(row.kind, row.kind)
    if not isinstance(value, accepted) or (isinstance(value, bool) and row.kind is not bool):
        raise ValueError(f"{name!r} must be {_words[row.kind]}, received {value!r}.")
    return row.kind(value)
