"""What a monitor has measured: plain arrays that rules judge, pictures show and JSON keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RECORDS = 512  # kept at most; then every second one is left out
LOSSES = 2000  # of a training are written down at most
_TABLES = ("gradient_norm", "weight_norm", "update_ratio")


@dataclasses.dataclass
class Units:
    """How a layer's units did on the probe batch, one entry a probe.

    Args:
        kind: Name of the activation, such as "relu".
        steps: When the layer was looked at.
        dead: Share of its units that were 0 for every example.
        saturated: Share of its outputs at the flat ends of its activation.
    """

    kind: str
    steps: list[int] = dataclasses.field(default_factory=list)
    dead: list[float] = dataclasses.field(default_factory=list)
    saturated: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class TimeGradients:
    """Norm of the loss's gradient with respect to a recurrent layer's input, step by step in time.

    Args:
        steps: When it was measured.
        norms: One list a measurement, from the first step in time to the last.
    """

    steps: list[int] = dataclasses.field(default_factory=list)
    norms: list[list[float]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class OneOutput:
    """The loss of the probe batch beside what one output for all its examples would cost.

    Args:
        steps: When it was measured.
        loss: The loss, in training mode; or in inference mode, where it is lower there and that
            makes a difference.
        of_mean: The lowest loss found if one output were given for every example: the mean of
            the outputs, the mean of the targets, or its logits.
    """

    steps: list[int] = dataclasses.field(default_factory=list)
    loss: list[float] = dataclasses.field(default_factory=list)
    of_mean: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class OutOfReach:
    """Targets that the last activation cannot give, as sigmoid gives none below 0.

    Args:
        step: When it was seen.
        layer: Name of the layer that gives the output.
        activation: Name of its activation.
        share: Share of the targets that are out of reach.
        least: The least target.
        most: The greatest target.
    """

    step: int
    layer: str
    activation: str
    share: float
    least: float
    most: float


@dataclasses.dataclass
class NonFinite:
    """The first value of a training that was NaN or infinite.

    Args:
        step: Number of the training step, counted from 1.
        what: "batch", "weight", "output", "output with older weights" (where XLA compiled
            the step, which then keeps none), "loss" or "gradient".
        layer: Name of the first layer that had or gave it; `None` where nobody can tell.
        variables: Paths of the weights that were not finite, or whose gradients were not.
    """

    step: int
    what: str
    layer: str | None = None
    variables: tuple[str, ...] = ()


@dataclasses.dataclass
class History:
    """What was measured in a training, step by step.

    Steps are counted from 1. Rows are records, columns are variables, from the input to the output.

    Args:
        variables: Paths of the trainable variables.
        layers: Name of the layer of each variable.
        sizes: Number of values of each variable.
        recurrent: Names of the recurrent layers.
        batch_size: Number of examples a step.
        steps: Step of each record, (records,).
        gradient_norm: Norm of each variable's gradient, (records, variables).
        weight_norm: Norm of each variable, (records, variables).
        update_ratio: Norm of a step's change over that of the variable, (records, variables).
        loss: The loss of each step, (steps,); NaN where it was not measured.
        first_step: Step of the first loss.
        loss_stride: Number of steps from one loss to the next: 1 but for a history that was loaded.
        units: How units did, by the layer's name.
        time_gradients: Gradients through time, by the recurrent layer's name.
        one_output: The loss beside that of one output for all.
        out_of_reach: Targets that the last activation cannot give.
        non_finite: The first value that was not finite.
        skipped: Number of steps whose gradients overflowed and that loss scaling left out.

    Example:
        >>> history = History(variables=("dense/kernel",), layers=("dense",), sizes=(8,))
        >>> history.add(1, np.array([0.5]), np.array([2.0]))
        >>> History.from_config(history.get_config()).gradient_norm.tolist()
        [[0.5]]
    """

    variables: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    recurrent: tuple[str, ...] = ()
    batch_size: int = 0
    first_step: int = 1
    loss_stride: int = 1
    units: dict[str, Units] = dataclasses.field(default_factory=dict)
    time_gradients: dict[str, TimeGradients] = dataclasses.field(default_factory=dict)
    one_output: OneOutput = dataclasses.field(default_factory=OneOutput)
    out_of_reach: OutOfReach | None = None
    non_finite: NonFinite | None = None
    skipped: int = 0
    _rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=list, repr=False
    )
    _losses: list[float] = dataclasses.field(default_factory=list, repr=False)

    def add(
        self,
        step: int,
        gradient_norm: np.ndarray,
        weight_norm: np.ndarray,
        update_ratio: np.ndarray | None = None,
    ) -> None:
        """Take a record, each (variables,); where there are many, leave out every second one."""
        unknown = np.full(len(self.variables), np.nan)
        ratio = unknown if update_ratio is None else update_ratio
        self._rows.append((step, gradient_norm, weight_norm, ratio))
        if len(self._rows) > RECORDS:
            del self._rows[1:-1:2]

    def last_record(self) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """Give the step of the last record, and its gradient norms, weight norms and ratios."""
        return self._rows[-1]

    def add_loss(self, loss: float) -> None:
        """Take the loss of the next step."""
        self._losses.append(loss)

    def go_on(self) -> None:
        """Make ready for a training that goes on; of what is not complete the loss begins anew."""
        if self.loss_stride > 1:
            self.first_step, self.loss_stride = self.last_step + 1, 1
            self._losses.clear()

    @property
    def steps(self) -> np.ndarray:
        """Step of each record, (records,)."""
        return np.array([row[0] for row in self._rows], dtype=np.int64)

    def _table(self, column: int) -> np.ndarray:
        rows = [row[column] for row in self._rows]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.variables))

    @property
    def gradient_norm(self) -> np.ndarray:
        """Norm of each variable's gradient, (records, variables)."""
        return self._table(1)

    @property
    def weight_norm(self) -> np.ndarray:
        """Norm of each variable, (records, variables)."""
        return self._table(2)

    @property
    def update_ratio(self) -> np.ndarray:
        """Norm of a step's change over that of the variable, (records, variables)."""
        return self._table(3)

    @property
    def loss(self) -> np.ndarray:
        """The loss of each step, (steps,)."""
        return np.array(self._losses, dtype=np.float64)

    @property
    def loss_steps(self) -> np.ndarray:
        """The step of each loss, (steps,)."""
        return self.first_step + self.loss_stride * np.arange(len(self._losses))

    @property
    def last_step(self) -> int:
        """The last step that was measured; 0 before the first."""
        return self.first_step + self.loss_stride * len(self._losses) - 1

    def get_config(self) -> dict[str, Any]:
        """Give plain values, which JSON takes; of a long training's losses only some."""
        stride = -(-len(self._losses) // LOSSES) or 1
        return {
            "variables": list(self.variables),
            "layers": list(self.layers),
            "sizes": list(self.sizes),
            "recurrent": list(self.recurrent),
            "batch_size": self.batch_size,
            "steps": self.steps.tolist(),
            **{name: _rounded(getattr(self, name)) for name in _TABLES},
            "first_step": self.first_step,
            "loss_stride": self.loss_stride * stride,
            "loss": _rounded(self.loss[::stride]),
            "units": {name: dataclasses.asdict(one) for name, one in self.units.items()},
            "time_gradients": {
                name: {"steps": one.steps, "norms": _rounded(one.norms)}
                for name, one in self.time_gradients.items()
            },
            "one_output": {
                "steps": self.one_output.steps,
                "loss": _rounded(self.one_output.loss),
                "of_mean": _rounded(self.one_output.of_mean),
            },
            "out_of_reach": self.out_of_reach and dataclasses.asdict(self.out_of_reach),
            "non_finite": self.non_finite and dataclasses.asdict(self.non_finite),
            "skipped": self.skipped,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> History:
        """Make a history of what `get_config` gave, also after JSON."""
        found, beyond = config["non_finite"], config.get("out_of_reach")
        names = ("variables", "layers", "sizes", "recurrent")
        plain = ("batch_size", "first_step", "loss_stride", "skipped")
        values: dict[str, Any] = {name: tuple(config[name]) for name in names}
        values.update({name: config[name] for name in plain})
        history = cls(
            **values,
            units={name: Units(**one) for name, one in config["units"].items()},
            time_gradients={
                name: TimeGradients(one["steps"], [_read(row).tolist() for row in one["norms"]])
                for name, one in config["time_gradients"].items()
            },
            one_output=OneOutput(
                config["one_output"]["steps"],
                *(_read(config["one_output"][name]).tolist() for name in ("loss", "of_mean")),
            ),
            out_of_reach=OutOfReach(**beyond) if beyond else None,
            non_finite=NonFinite(**{**found, "variables": tuple(found["variables"])})
            if found
            else None,
        )
        tables = [[_read(row) for row in config[name]] for name in _TABLES]
        history._rows = list(zip(config["steps"], *tables, strict=True))
        history._losses = _read(config["loss"]).tolist()
        return history


def _rounded(values: Any) -> Any:
    """Give numbers to four digits, in lists; JSON knows no NaN, so it becomes a word."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, Sequence):
        return [_rounded(value) for value in values]
    return float(f"{values:.4g}") if np.isfinite(values) else str(values)


def _read(values: Sequence[Any]) -> np.ndarray:
    return np.array([float(value) for value in values], dtype=np.float64)


def kernels(history: History) -> list[int]:
    """Give the columns that gradients are followed along: each layer's largest variable."""
    largest: dict[str, int] = {}
    for column, layer in enumerate(history.layers):
        if layer not in largest or history.sizes[column] > history.sizes[largest[layer]]:
            largest[layer] = column
    return list(largest.values())
