"""The callback that watches a training: what it measures, and when it looks."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any

import keras

from zoo.arguments import integer, one_of
from zoo.health.alarm import first_broken, unpack
from zoo.health.batches import as_arrays
from zoo.health.history import History
from zoo.health.looks import Looks
from zoo.health.recorder import Recorder, empty_history
from zoo.health.report import Report
from zoo.health.rules import checked_thresholds
from zoo.health.tap import BACKENDS, Tap
from zoo.health.writing import Writer

BETWEEN_VERDICTS = 50  # steps, where a hopeless training is to end
SKIPPED_IN_A_ROW = 40  # more than loss scaling needs to find its scale


class GradientHealth(keras.callbacks.Callback):
    """Watches gradients, weights, units and the loss of any `model.fit`, and says what is wrong.

    It measures inside the compiled step: in each one the loss and whether all gradients are finite;
    in every tenth the norm of each variable's gradient, of the variable and of its update, on a
    sample of its values. On some examples, in at most one step in 100, it looks at the units, of
    which some may be dead or saturated, at gradients through time in recurrent layers, and at the
    targets: whether the last activation can give them, and what one output for all would cost. It
    adds no variable and changes nothing: the weights are those of a training without it.

    On the backends TensorFlow and JAX. Where there is nothing to watch (no trainable weights, an
    optimizer without `apply`, copies of a model on several devices of TensorFlow, or the backend
    PyTorch), and where something of its own fails, it says so once, and the training goes on
    without it. So it does where a train step of your own updates by other optimizers than
    `model.optimizer`, whose gradients it does not see, or takes batches that `call` cannot take,
    of which it then sees no units.

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
        >>> x = keras.random.uniform((64, 4), seed=0)
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
        self._recorder: Any = None
        self._looks: Any = None
        self._active = self._goes_on = False
        self._before = 0  # steps before this `fit`

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
        self._waiting: deque[Any] = deque()
        self._in_a_row = 0
        self.stopped_by = self.bad_batch = None
        is_known = self._goes_on or (self._tap is not None and self._tap.model is self.model)
        if self._tap is None or self._tap.model is not self.model:
            self._tap = Tap(self.model, self.every, self._see, self._give_up)
        begin = functools.partial(self._safely, self._begin, self._tap, is_known)
        if self._tap.must_wait:
            self._tap.wait(self.params, begin)
        else:
            begin()

    def _begin(self, tap: Tap, is_known: bool, batches: Any = None) -> None:
        """Begin to watch, or say why not.

        Args:
            tap: What measures the model.
            is_known: Whether the history may go on.
            batches: What TensorFlow knows of a batch, where the model is not built yet.
        """
        if batches is not None:
            tap.build(batches)
        problem = self._problem()
        if problem:
            self._give_up(problem)
            return
        self._goes_on = False
        history = empty_history(self.model)
        if is_known and self.history.variables == history.variables:
            self.history.go_on()
        else:
            self.history = history
        self.step = self._before = self.history.last_step
        self._next_verdict = self.step + BETWEEN_VERDICTS
        self._active = True
        tap.open(self.params)
        self._recorder = Recorder(self.history, tap.layout, self.every == 1)
        self._looks = Looks(self.history, tap)
        self._looks.remember()

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
            self._require_gradients()
        self._state = self._looks = None

    def _require_gradients(self) -> None:
        """Say so where a train step of one's own updates by other optimizers."""
        has_steps = self.step > self._before
        if has_steps and self._tap is not None and not self._tap.has_gradients:
            why = "the train step gives none to `model.optimizer`"
            warnings.warn(f"GradientHealth measured no gradients: {why}.", stacklevel=2)

    def _safely(self, do: Any, *args: Any) -> None:
        """Do something of which no error may end the training."""
        try:
            do(*args)
        except Exception as error:  # whatever it is
            self._give_up(f"{type(error).__name__}: {error}")

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
        self._looks.take_examples(batch)
        # Keras's `convert_to_numpy` takes longer than the rest of this.
        known = measured["loss"] if "loss" in measured else logs.get("loss")
        history.add_loss(math.nan if known is None else float(known))
        has_loss = known is None or math.isfinite(known)  # a train step of one's own may give none
        is_finite = bool(measured.get("finite", True))
        if not is_finite and has_loss and "scale" in measured:
            self._in_a_row += 1
            history.skipped += 1
            is_finite = self._in_a_row < SKIPPED_IN_A_ROW
        else:
            self._in_a_row = 0
        if not (is_finite and has_loss) and history.non_finite is None:
            self._alarm(step, batch, has_loss, measured)
        elif bool(measured.get("due", False)) and bool(measured.get("finite", True)):
            self._record(step, measured)
        if history.non_finite is None:
            self._looks.look(step, self._state)
        if self.stop_on and (step >= self._next_verdict or history.non_finite is not None):
            self._judge(step)

    def _record(self, step: int, measured: dict[str, Any]) -> None:
        """Take the samples of a step; with those of the next one they tell its update."""
        assert self._tap is not None
        read, scale = self._tap.read(measured), float(measured.get("scale", 1.0))
        if read is not None and self._recorder.take(step, *read, scale):
            self._writer.record(self.history)

    def _alarm(self, step: int, batch: Any, loss_is_finite: bool, measured: dict[str, Any]) -> None:
        """Find what was not finite, and keep the batch."""
        assert self._tap is not None
        self.bad_batch = as_arrays(batch)
        now = self._tap.weights(self._state)
        told = self._tap.kept(measured)
        kept = None if told is None else unpack(self._tap, told, now[0])
        if kept and kept.weights is not None:
            self._recorder.end(step, self._tap.layout.sampled(kept.weights))
        x = self.bad_batch[0] if self.bad_batch else None
        older = self._looks.older
        found = first_broken(self._tap, self.history, now, older, x, kept, loss_is_finite)
        self.history.non_finite = dataclasses.replace(found, step=step)
        self._writer.batch(self.bad_batch)

    def _judge(self, step: int) -> None:
        """End a training with a finding that is an error."""
        self._next_verdict = step + BETWEEN_VERDICTS
        errors = [finding for finding in self.report.findings if finding.severity == "error"]
        if errors and self._tap is not None:
            self.stopped_by = errors[0]
            self._tap.model.stop_training = True
