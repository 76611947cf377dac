"""Looks inside a model on some examples of its first batch, now and then."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from keras import ops

from zoo.health import probe, targets
from zoo.health.batches import first_examples, size_of
from zoo.health.history import History, TimeGradients, Units
from zoo.health.tap import Tap

BETWEEN_LOOKS = 100  # steps from one look to the next, at least


class Looks:
    """Looks at units, at gradients through time, and at outputs beside their targets.

    Args:
        history: Where what was seen goes.
        tap: What is in the train step of the model.

    Attributes:
        older: The trainable weights of at most 100 steps before, where the step keeps none.
    """

    def __init__(self, history: History, tap: Tap) -> None:
        self.history, self.tap = history, tap
        self.older: list[Any] | None = None
        self._examples: Any = None
        self._has_examples = False
        self._next = self._next_copy = history.last_step + 1

    def take_examples(self, batch: Any) -> None:
        """Keep some examples of the first batch."""
        if not self._has_examples:
            self._has_examples = True
            self._examples = first_examples(batch)
            self.history.batch_size = size_of(batch)

    def remember(self, state: Any = None) -> None:
        """Keep the weights, where XLA keeps none of a step that is not finite."""
        if self.tap.is_compiled:
            self.older = [ops.convert_to_numpy(one) for one in self.tap.weights(state)[0]]

    def look(self, step: int, state: Any) -> None:
        """Look, if it is time to; `state` is that of JAX's training."""
        if step >= self._next_copy:
            self._next_copy = step + BETWEEN_LOOKS
            self.remember(state)
        if step < self._next:
            return
        self._next = max(step + BETWEEN_LOOKS, step * 2)
        if self._examples is None:
            return
        try:
            self._look_inside(step, state)
        except Exception as error:  # as of a model that takes other inputs than its train step does
            self._examples = None
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"GradientHealth cannot look inside this model: {why}", stacklevel=2)

    def _look_inside(self, step: int, state: Any) -> None:
        trainable, others = self.tap.weights(state)
        if state is None:
            metrics = [variable.value for variable in self.tap.model.metrics_variables]
        else:
            metrics = state[3]
        self._look_at_units(step, (trainable, others))
        everything = {"trainable": trainable, "non_trainable": others, "metrics": metrics}
        self._look_at_targets(step, everything)
        self._look_through_time(step, everything)

    def _look_at_units(self, step: int, weights: tuple[Any, Any]) -> None:
        found = probe.look_at_units(self.tap.model, weights, self._examples[0])
        for name, (kind, dead, saturated) in found.items():
            units = self.history.units.setdefault(name, Units(kind))
            units.steps.append(step)
            units.dead.append(dead)
            units.saturated.append(saturated)

    def _look_at_targets(self, step: int, state: Mapping[str, Any]) -> None:
        given = (self.tap.model, state, self._examples)
        found = None
        try:
            self.history.out_of_reach = targets.out_of_reach(*given, step)
            if step > BETWEEN_LOOKS:  # before, any loss may still be that of one output
                found = targets.beside_one_output(*given)
        except Exception:  # as of a model that has its own train step, and no loss beside it
            return
        if found is not None:
            one_output = self.history.one_output
            one_output.steps.append(step)
            one_output.loss.append(found[0])
            one_output.of_mean.append(found[1])

    def _look_through_time(self, step: int, state: Mapping[str, Any]) -> None:
        found = probe.gradients_through_time(self.tap.model, state, self._examples)
        for name, norms in found.items():
            through_time = self.history.time_gradients.setdefault(name, TimeGradients())
            through_time.steps.append(step)
            through_time.norms.append(norms)
