"""A train function that goes step by step, and hands over what was measured in each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

ENTRY = "zoo_health"  # in the logs, between the train step and the train function


class Stepping:
    """Runs the train function that Keras made of a train step with an entry in its logs.

    Args:
        tap: What put the entry there; another monitor finds it here.
        function: The train function.
        see: Called after each step with the batch, the entry, the logs, and on JAX the state.
    """

    def __init__(self, tap: Any, function: Any, see: Callable[[Any, Any, Any, Any], None]) -> None:
        self.tap, self._function, self._see = tap, function, see
        self._of_batches: tuple[Any, Any] = (None, None)  # what batches are, a function of one

    def __call__(self, *args: Any) -> Any:
        """Run as many steps as Keras asks for at a time."""
        state, iterator = args if keras.backend.backend() == "jax" else (None, *args)
        logs, model = None, self.tap.model
        count = model.steps_per_execution
        with single_steps(model):
            for number in range(count):
                try:
                    logs, state = self._step(iterator, state)
                except StopIteration:
                    if not number:
                        raise
                    break
        return logs if state is None else (logs, state)

    def _step(self, iterator: Any, state: Any) -> tuple[Any, Any]:
        batch = next(iterator)
        if state is None:
            logs = self._of_batch(iterator)(batch)
        else:
            logs, state = self._function(state, iter((batch,)))
        logs = dict(logs)
        self._see(batch, logs.pop(ENTRY, {}), logs, state)
        return logs, state

    def _of_batch(self, iterator: Any) -> Callable[[Any], Any]:
        """Make TensorFlow's train function, which is of an iterator, one of a batch; keep it.

        It takes less time. The step in it is the same, of batches of any size.
        """

        def of_batch(batch: Any) -> Any:
            return self._function(iter((batch,)))

        spec = getattr(iterator, "element_spec", None)  # not of what `train_on_batch` gives
        if spec is None or self.tap.model.run_eagerly:
            return of_batch
        if self._of_batches[0] != spec:
            import tensorflow as tf

            compiled = tf.function(of_batch, input_signature=[spec], autograph=False)
            self._of_batches = (spec, compiled)
        return self._of_batches[1]


class Waiting:
    """Stands in for TensorFlow's train function until its first step, which builds the model.

    Args:
        tap: What waits; another monitor finds it here.
        function: The train function.
        begin: Called before that step, with what TensorFlow knows of a batch.
    """

    def __init__(self, tap: Any, function: Any, begin: Callable[[Any], None]) -> None:
        self.tap, self._function, self._begin = tap, function, begin

    def __call__(self, iterator: Any) -> Any:
        """Begin, and run the train function that there is then."""
        spec = getattr(iterator, "element_spec", None)
        if spec is None:  # of `train_on_batch`, by another callback
            return self._function(iterator)
        self.tap.close()
        self._begin(spec)
        return self.tap.model.train_function(iterator)


@contextlib.contextmanager
def single_steps(model: keras.Model) -> Iterator[None]:
    """Let a model's train function do one step at a time, so that each one is seen."""
    count = model.steps_per_execution
    if count == 1:
        yield
        return
    model.steps_per_execution = 1
    try:
        yield
    finally:
        model.steps_per_execution = count
