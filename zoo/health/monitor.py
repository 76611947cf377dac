"""The callback that watches a training: what it measures, and when it looks."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.arguments import integer, one_of
from zoo.health import probe
from zoo.health.alarm import first_broken
from zoo.health.batches import as_arrays, first_examples, size_of
from zoo.health.history import History, NonFinite, TimeGradients, Units
from zoo.health.report import Report
from zoo.health.rules import checked_thresholds
from zoo.health.tap import BACKENDS, Tap
from zoo.health.writing import Writer

BETWEEN_LOOKS = 100  # steps from one look at the units to the next, at least
BETWEEN_VERDICTS = 50  # steps, where a hopeless training is to end
SKIPPED_IN_A_ROW = 40  # more than loss scaling needs to find its scale


class GradientHealth(keras.callbacks.Callback):
    """Watches gradients, weights, units and the loss of any `model.fit`, and says what is wrong.

    It measures inside the compiled step: in each one the loss and whether all gradients are finite;
    in every tenth the norm of each variable's gradient, of the variable and of its update, on a
    sample of its values. On some examples, in at most one step in 100, it looks at the units: those
    that are dead or saturated, and how gradients fade through time in recurrent layers. It adds no
    variable and changes nothing: the weights are those of a training without it.

    On the backends TensorFlow and JAX. Where there is nothing to watch (no trainable weights, an
    optimizer without `apply`, copies of a model on several devices of TensorFlow, or the backend
    PyTorch), and where something of its own fails, it
    says so once, and the training goes on without it.

    Args:
        every: Number of updates from one record to the next, at least 1.
        directory: Where each training's report (`health.json`), its picture (`health.png`) and
            the first batch with a value that is not finite (`health_batch.npz`) are written. A
            second training there writes `health_2.json`, and so on.
        log_dir: Where scalars for TensorBoard are written.
        stop_on: "error" ends a training with a finding of that severity; `None` ends none.
        thresholds: Thresholds of rules, by the rule's name: `{"vanishing_gradients": {"ratio":
            1e-4}}`. See `zoo.health.rules`.

    Attributes:
        history: What was measured, as arrays; see `zoo.health.History`.
        report: What follows from it; see `zoo.health.Report`.
        stopped_by: The finding that ended the training, or `None`.
        bad_batch: The first batch with a value that is not finite, as `fit` gave it to the model.

    Raises:
        ValueError: If an argument is illegal, or another monitor watches the same `fit`.
        OSError: If `directory` or `log_dir` cannot be written.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> monitor = GradientHealth()
        >>> x = np.random.default_rng(0).random((64, 4))
        >>> _ = model.fit(x, x[:, :1], epochs=10, verbose=0, callbacks=[monitor])
        >>> monitor.report.findings
        ()
        >>> monitor.history.gradient_norm.shape
        (2, 2)
    """

    def __init__(
        self,
        every: int = 10,
        *,
        directory: str | os.PathLike[str] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        stop_on: str | None = None,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__()
        self.every = integer("every", every)
        self.stop_on = None if stop_on is None else one_of("stop_on", stop_on, ("error",))
        self.thresholds = checked_thresholds(thresholds)
        self.directory, self.log_dir = directory, log_dir
        self._writer = Writer(directory, log_dir)
        self.history = History()
        self.stopped_by: Any = None
        self.bad_batch: Any = None
        self._tap: Tap | None = None
        self._active = self._goes_on = False

    def __deepcopy__(self, memo: dict[int, Any]) -> GradientHealth:
        """Give a fresh monitor with the same arguments, as Keras Tuner wants one for each trial."""
        return type(self)(
            self.every,
            directory=self.directory,
            log_dir=self.log_dir,
            stop_on=self.stop_on,
            thresholds=self.thresholds,
        )

    @property
    def report(self) -> Report:
        """What follows from what was measured so far."""
        return Report.of(self.history, self.thresholds)

    def go_on_from(self, history: History) -> None:
        """Take what was measured before a training was interrupted; call it before `fit`."""
        self.history, self._goes_on = history, True

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the tap into the train step."""
        self._require_alone()
        self._writer.begin()
        self._state: Any = None
        self._kept: Any = None
        self._waiting: deque[Any] = deque()
        self._examples: Any = None
        self._older: Any = None  # weights of some steps before
        self._before: Any = None  # the record that waits for its update, and its weights
        self._in_a_row = 0
        self.stopped_by = self.bad_batch = None
        problem = self._problem()
        if problem:
            self._give_up(problem)
            return
        variables = self.model.trainable_variables
        owners = {
            id(variable): layer.name
            for layer in self.model._flatten_layers(include_self=False, recursive=True)
            for variable in layer._trainable_variables
        }
        for layer in probe.recurrent_layers(self.model):  # whose cells hold the variables
            owners.update({id(variable): layer.name for variable in layer.trainable_variables})
        names = tuple(variable.path for variable in variables)
        known = self._goes_on or (self._tap is not None and self._tap.model is self.model)
        self._goes_on = False
        if self.history.variables != names or not known:
            self.history = History(
                variables=names,
                layers=tuple(owners.get(id(one), self.model.name) for one in variables),
                sizes=tuple(math.prod(one.shape) for one in variables),
                recurrent=tuple(layer.name for layer in probe.recurrent_layers(self.model)),
            )
        else:
            self.history.go_on()
        self.step = self.history.last_step
        self._next_look = self.step + 1
        self._next_verdict = self.step + BETWEEN_VERDICTS
        if self._tap is None or self._tap.model is not self.model:
            self._tap = Tap(self.model, self.every, self._see, self._keep, self._give_up)
        self._active = True
        try:
            self._tap.open(self.params)
            self._remember()
        except Exception as error:  # of Keras's parts that are not as they were
            self._give_up(f"{type(error).__name__}: {error}")

    def _require_alone(self) -> None:
        other = getattr(self.model.train_function, "tap", None)
        if other is None:
            return
        if other.params is self.params:
            raise ValueError(
                "Two GradientHealth monitors watch one `fit`: leave one of them out of `callbacks`."
            )
        other.close()  # of a training that was interrupted

    def _problem(self) -> str | None:
        """Say why there is nothing to watch."""
        if keras.backend.backend() not in BACKENDS:
            return f"it works on the backends {' and '.join(BACKENDS)}"
        strategy = getattr(self.model, "distribute_strategy", None)
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            return "TensorFlow trains copies of the model side by side"
        if not self.model.trainable_variables:
            return "the model has no trainable weights"
        if not callable(getattr(self.model.optimizer, "apply", None)):
            return f"the optimizer {self.model.optimizer!r:.80} has no `apply`"
        return None

    def _give_up(self, why: str) -> None:
        self._active = False
        warnings.warn(f"GradientHealth does not watch this training: {why}.", stacklevel=2)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the report, where one is wanted."""
        if self._active:
            self._safely(self._writer.epoch, self)

    def on_train_end(self, logs: Any = None) -> None:
        """Take the tap out, and write the report and its picture."""
        if self._tap is not None and self._tap.is_open:
            self._tap.close()
        if self._active:
            self._safely(self._examine_waiting)
            self._safely(self._writer.end, self)
        self._state = self._examples = self._kept = self._older = None

    def _safely(self, do: Any, *args: Any) -> None:
        """Do something of which no error may end the training."""
        try:
            do(*args)
        except Exception as error:  # whatever it is
            self._give_up(f"{type(error).__name__}: {error}")

    def _keep(self, values: Any) -> None:
        """Keep what the first step that was not finite gave."""
        if self._kept is None:
            self._kept = np.array(values)

    def _see(self, batch: Any, measured: dict[str, Any], logs: Any, state: Any) -> None:
        """Take what a step measured."""
        self.step += 1
        self._state = state
        if not self._active:
            return
        self._waiting.append((self.step, batch, measured, logs))
        # JAX computes while Python goes on: what the step before measured is there already.
        if keras.backend.backend() != "jax" or len(self._waiting) > 1:
            self._safely(self._examine, *self._waiting.popleft())

    def _examine_waiting(self) -> None:
        while self._waiting:
            self._examine(*self._waiting.popleft())

    def _examine(self, step: int, batch: Any, measured: dict[str, Any], logs: Any) -> None:
        history = self.history
        if self._examples is None:
            self._examples = first_examples(batch)
            history.batch_size = size_of(batch)
        # Keras's `convert_to_numpy` takes longer than the rest of this.
        loss = float(measured["loss"] if "loss" in measured else logs.get("loss", math.nan))
        history.add_loss(loss)
        is_finite = bool(measured.get("finite", True))
        if not is_finite and math.isfinite(loss) and "scale" in measured:
            self._in_a_row += 1
            history.skipped += 1
            is_finite = self._in_a_row < SKIPPED_IN_A_ROW
        else:
            self._in_a_row = 0
        if not (is_finite and math.isfinite(loss)) and history.non_finite is None:
            self._alarm(step, batch, math.isfinite(loss), measured)
        elif bool(measured.get("due", False)) and bool(measured.get("finite", True)):
            self._record(step, measured)
        if step >= self._next_look and history.non_finite is None:
            self._look(step)
        if self.stop_on and (step >= self._next_verdict or history.non_finite is not None):
            self._judge(step)

    def _record(self, step: int, measured: dict[str, Any]) -> None:
        """Take the samples of a step; with those of the next one they tell its update."""
        assert self._tap is not None
        values = self._tap.read(measured)
        if values is None:
            return
        gradients, weights = np.split(values.astype(np.float64), 2)
        if self._end_record(step, weights) and self.every > 1:
            return
        with np.errstate(all="ignore"):  # of what is not finite
            norms = self._tap.norms(gradients) / float(measured.get("scale", 1.0))
            own = self._tap.norms(weights)
        self._before = (step, norms, own, weights)
        broken = np.flatnonzero(~np.isfinite(own))
        if len(broken) and self.history.non_finite is None:  # which a ReLU hid from the loss
            column = self._tap.columns[broken[0]]
            layer, name = self.history.layers[column], self.history.variables[column]
            self.history.non_finite = NonFinite(step, "weight", layer, (name,))

    def _end_record(self, step: int, weights: np.ndarray) -> bool:
        """End the record of the step before by what its update made of the samples."""
        if self._before is None or self._before[0] != step - 1:
            return False
        assert self._tap is not None
        number, norms, own, old = self._before
        with np.errstate(all="ignore"):  # of what is not finite
            ratio = self._tap.norms(weights - old) / own
        self.history.add(number, *map(self._spread, (norms, own, ratio)))
        self._writer.record(self.history)
        self._before = None
        return True

    def _spread(self, values: Any) -> np.ndarray:
        """Lay values of the variables that have gradients out over all variables."""
        assert self._tap is not None
        row = np.full(len(self.history.variables), np.nan)
        row[self._tap.columns] = values
        return row

    def _weights(self) -> tuple[Any, Any]:
        """Give the trainable and other weights as they are now."""
        # In a step `self.model` would let Keras take back from JAX what JAX no longer has.
        assert self._tap is not None
        if self._state is not None:
            return self._state[0], self._state[1]
        model = self._tap.model
        groups = (model.trainable_variables, model.non_trainable_variables)
        trainable, others = ([variable.value for variable in group] for group in groups)
        return trainable, others

    def _remember(self) -> None:
        """Keep the weights for `_alarm`, where XLA keeps none of the step that is not finite."""
        assert self._tap is not None
        if self._tap.keeps_no_weights:
            variables = self._tap.model.trainable_variables
            self._older = [ops.convert_to_numpy(variable) for variable in variables]

    def _look(self, step: int) -> None:
        """Look at the units, and at gradients through time."""
        self._remember()
        self._next_look = max(step + BETWEEN_LOOKS, step * 2)
        if self._examples is None:
            return
        assert self._tap is not None
        weights = self._weights()
        found = probe.look_at_units(self._tap.model, weights, self._examples[0])
        for name, (kind, dead, saturated) in found.items():
            units = self.history.units.setdefault(name, Units(kind))
            units.steps.append(step)
            units.dead.append(dead)
            units.saturated.append(saturated)
        metrics = self._tap.model.metrics_variables
        state = {
            "trainable": weights[0],
            "non_trainable": weights[1],
            "metrics": self._state[3] if self._state else [one.value for one in metrics],
        }
        self._look_at_loss(step, state)
        for name, norms in probe.gradients_through_time(
            self._tap.model, state, self._examples
        ).items():
            found_there = self.history.time_gradients.setdefault(name, TimeGradients())
            found_there.steps.append(step)
            found_there.norms.append(norms)

    def _look_at_loss(self, step: int, state: Mapping[str, Any]) -> None:
        """Compare the loss with that of one output for all examples, where the model has such."""
        assert self._tap is not None
        try:
            found = probe.beside_one_output(self._tap.model, state, self._examples)
        except Exception:  # as of a model that has its own train step, and no loss beside it
            return
        if found is not None:
            one_output = self.history.one_output
            one_output.steps.append(step)
            one_output.loss.append(found[0])
            one_output.of_mean.append(found[1])

    def _alarm(self, step: int, batch: Any, loss_is_finite: bool, measured: dict[str, Any]) -> None:
        """Find what was not finite, and keep the batch."""
        assert self._tap is not None
        if keras.backend.backend() == "jax":
            import jax

            jax.effects_barrier()
        else:
            self._kept = self._tap.read(measured)
        self.bad_batch = as_arrays(batch)
        now = self._weights()
        kept = None if self._kept is None else self._tap.unpack(self._kept, now[0])
        if kept and kept.weights is not None:
            self._end_record(step, self._tap.sampled(kept.weights))
        x = self.bad_batch[0] if self.bad_batch else None
        found = first_broken(self._tap, self.history, now, self._older, x, kept, loss_is_finite)
        self.history.non_finite = dataclasses.replace(found, step=step)
        self._writer.batch(self.bad_batch)

    def _judge(self, step: int) -> None:
        """End a training with a finding that is an error."""
        self._next_verdict = step + BETWEEN_VERDICTS
        errors = [finding for finding in self.report.findings if finding.severity == "error"]
        if errors and self._tap is not None:
            self.stopped_by = errors[0]
            self._tap.model.stop_training = True
