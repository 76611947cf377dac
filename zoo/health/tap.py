"""What is measured inside the compiled train step: no variable is added, nothing is changed.

The step's logs get one entry more, and the train function hands it to the monitor before Keras sees
it. Gradients come from the optimizer, which is given them; the loss from Keras's own tracker of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.health.inside import all_finite, of_compiled, of_gradients, of_weights
from zoo.health.layout import Layout
from zoo.health.parts import Parts, dense
from zoo.health.probe import first_weights
from zoo.health.stepping import ENTRY, Stepping, Waiting, single_steps

BACKENDS = ("tensorflow", "jax")


class Tap:
    """Measures the steps of a compiled model while it is open.

    Args:
        model: A compiled model, which is built before the tap is opened.
        every: Number of updates from one record to the next.
        see: Called after each step with the batch, what was measured (arrays on the device: `loss`,
            `finite`, `due`, what `read` takes, and `scale` where the loss is scaled), the logs,
            and on JAX the state.
        fail: Called with what went wrong where a step cannot be measured.
    """

    def __init__(
        self,
        model: keras.Model,
        every: int,
        see: Callable[[Any, dict[str, Any], dict[str, Any], Any], None],
        fail: Callable[[str], None],
    ) -> None:
        self.model, self.every, self.see = model, every, see
        self.fail = fail
        self.layout = Layout([])
        self._places: dict[int, int] = {}
        self._first: set[int] = set()  # columns of the weights that meet the inputs
        self._measured: dict[str, Any] = {}
        self._plain: Any = None  # the train function that Keras made, to be put back
        self._tapped: Any = None  # the one with the tap, kept for the next `fit`
        self._patched: list[tuple[Any, str]] = []
        self.params: Any = None
        self.is_open = False  # whether it is in the train step, or waits to be
        self.has_gradients = False  # whether any came to the optimizer

    def read(self, measured: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
        """Give the norms of gradients and samples of weights that a step measured."""
        if "norms" in measured:
            return self.layout.scaled(measured["norms"]), np.asarray(measured["weights"], float)
        if "weights" in measured:
            gradients, weights = measured["gradients"].numpy(), measured["weights"].numpy()
            return self.layout.norms(gradients), weights.astype(float)
        return None

    @staticmethod
    def kept(measured: Mapping[str, Any]) -> np.ndarray | None:
        """Give what a step that was not finite tells of it, for `unpack` of the alarm."""
        if "weights" not in measured:
            return None
        if "flags" in measured:
            return np.asarray(measured["flags"])
        return np.concatenate([measured["gradients"].numpy(), measured["weights"].numpy()])

    @property
    def is_compiled(self) -> bool:
        """Whether XLA compiles the step, which then tells nothing of the weights before it."""
        return keras.backend.backend() == "jax" or bool(self.model.jit_compile)

    def weights(self, state: Any) -> tuple[Any, Any]:
        """Give the trainable and other weights as they are now; `state` is of JAX's training."""
        # In a step Keras would take back from JAX what JAX no longer has.
        if state is not None:
            return state[0], state[1]
        groups = (self.model.trainable_variables, self.model.non_trainable_variables)
        trainable, others = ([variable.value for variable in group] for group in groups)
        return trainable, others

    @property
    def inner(self) -> Any:
        """The optimizer itself, where another one scales the loss for it."""
        return getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)

    @property
    def _counter(self) -> keras.Variable:
        """Counts the optimizer's steps; with accumulation its `iterations` are updates."""
        return self.inner._iterations

    def open(self, params: Any) -> None:
        """Put the tap in, for the `fit` of these params; Keras makes its train function anew."""
        self.params, self.is_open = params, True
        model, optimizer = self.model, self.model.optimizer
        self._patch(model._loss_tracker, "update_state", self._with_loss)
        if keras.backend.backend() == "jax":
            self._patch(optimizer, "stateless_apply", self._with_gradients_of_jax)
        else:
            self._patch(optimizer, "apply", self._with_gradients)
        self._patch(model, "train_step", self._with_entry)
        plain = model.train_function
        if self._tapped is None or plain is not self._plain:
            variables = model.trainable_variables
            if not optimizer.built:  # which XLA could not do in the step
                optimizer.build(variables)
            self.layout = Layout(variables)
            self._places = {id(variable): column for column, variable in enumerate(variables)}
            self._first = {self._places.get(id(one), -1) for one in first_weights(model)}
            with single_steps(model):
                model.make_train_function(force=True)
            self._tapped = Stepping(self, model.train_function, self.see)
        self._plain = plain
        model.train_function = self._tapped
        self._patch(model, "make_train_function", self._with_function)

    @property
    def must_wait(self) -> bool:
        """Whether the model is built in the first step of `fit`, as TensorFlow does it."""
        layers = self.model._flatten_layers()
        return keras.backend.backend() == "tensorflow" and not all(one.built for one in layers)

    def wait(self, params: Any, begin: Callable[[Any], None]) -> None:
        """Call `begin` before that step, with what TensorFlow knows of a batch, for `build`."""
        self.params, self.is_open, self._plain = params, True, self.model.train_function
        self.model.train_function = Waiting(self, self._plain, begin)

    def build(self, spec: Any) -> None:
        """Build the model, as Keras itself does before the first step on its other backends."""
        self.model._symbolic_build(data_batch=keras.tree.map_structure(_symbolic, spec))

    def close(self) -> None:
        """Take the tap out, so that model and optimizer are as they were."""
        for owner, name in self._patched:
            delattr(owner, name)
        self._patched.clear()
        self.model.train_function = self._plain
        self.is_open = False

    def _patch(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        setattr(owner, name, wrap(getattr(owner, name)))
        self._patched.append((owner, name))

    def _with_function(self, make: Any) -> Any:
        """Stay in a train function that somebody makes anew in the middle of a `fit`."""
        model = self.model
        optimizer, variables = model.optimizer, list(map(id, model.trainable_variables))

        def with_function(force: bool = False) -> Any:
            if model.train_function is not None and not force:
                return model.train_function
            is_same = model.optimizer is optimizer
            if is_same and list(map(id, model.trainable_variables)) == variables:
                with single_steps(model):
                    make(force=True)
                self._tapped, self._plain = Stepping(self, model.train_function, self.see), None
                model.train_function = self._tapped
            else:
                self.close()
                make(force=True)
                what = "the weights that are trained" if is_same else "the optimizer"
                self.fail(f"{what} changed in the middle of it")
            return model.train_function

        return with_function

    def _with_loss(self, update_state: Any) -> Any:
        def with_loss(values: Any, *args: Any, **kwargs: Any) -> Any:
            self._measured["loss"] = ops.mean(values)
            return update_state(values, *args, **kwargs)

        return with_loss

    def _with_entry(self, train_step: Any) -> Any:
        def with_entry(*args: Any) -> Any:
            self._measured = {}
            result = train_step(*args)
            logs = result[0] if isinstance(result, tuple) else result
            logs = {**logs, ENTRY: self._measured}
            self._measured = {}
            return (logs, *result[1:]) if isinstance(result, tuple) else logs

        return with_entry

    def _with_gradients(self, apply: Any) -> Any:
        optimizer = self.model.optimizer

        def with_gradients(grads: Any, trainable_variables: Any = None) -> Any:
            grads = list(grads)
            variables = list(trainable_variables or self.model.trainable_variables)
            scale = getattr(optimizer, "dynamic_scale", None)
            places = [self._places.get(id(variable)) for variable in variables]
            self._try_to_measure(grads, variables, places, self._counter.value, scale)
            return apply(grads, variables)

        return with_gradients

    def _with_gradients_of_jax(self, stateless_apply: Any) -> Any:
        optimizer = self.model.optimizer

        def value_of(variable: Any, state: Sequence[Any]) -> Any:
            return next(
                v for own, v in zip(optimizer.variables, state, strict=True) if own is variable
            )

        def with_gradients(state: Any, grads: Any, values: Any) -> Any:
            scale = getattr(optimizer, "dynamic_scale", None)
            scale = None if scale is None else value_of(scale, state)
            iterations = value_of(self._counter, state)
            self._try_to_measure(grads, values, range(len(values)), iterations, scale)
            return stateless_apply(state, grads, values)

        return with_gradients

    def _try_to_measure(self, *args: Any) -> None:
        """Measure a step; what fails is said, and does not end the training."""
        try:
            self._measure(*args)
        except Exception as error:  # whatever a layer or an optimizer of anybody's gives
            self._measured = {}
            self.fail(f"{type(error).__name__}: {error}")

    def _measure(
        self, grads: Any, weights: Any, places: Sequence[Any], iterations: Any, scale: Any
    ) -> None:
        """Measure a step before its update; `places` are the columns of the weights.

        These are variables on TensorFlow, where a read of each takes its time in every step, and
        values on JAX.
        """
        rows = zip(places, grads, weights, strict=True)
        used = [row for row in rows if row[0] is not None and row[1] is not None]
        if not used:
            return
        self.has_gradients = True
        self.layout.choose([column for column, _, _ in used])
        gradients, weights = [row[1] for row in used], [row[2] for row in used]
        shapes = [tuple(weight.shape) for weight in weights]
        updates = self.inner.gradient_accumulation_steps or 1  # steps an update
        phase = iterations % (self.every * updates)
        # Two records in a row, so that their difference is an update.
        due = ops.logical_or(ops.equal(phase, updates - 1), ops.equal(phase, updates))
        due = ops.logical_or(due, self.every == 1)
        found = self._measured
        if scale is not None:
            found["scale"] = ops.convert_to_tensor(scale)
        first = [_value(weight) for column, _, weight in used if column in self._first]
        has_loss = ops.isfinite(found["loss"]) if "loss" in found else ops.equal(0, 0)
        # What hides weights that are not finite from the loss hides them from gradients, too.
        has_weights = ops.logical_and(has_loss, all_finite(first)) if first else has_loss
        found["due"] = due
        if self.is_compiled:
            tensors = [dense(*one) for one in zip(gradients, shapes, strict=True)]
            of_all = of_compiled(has_weights, tensors, [_value(weight) for weight in weights])
            found["norms"], found["weights"], found["finite"], found["flags"] = of_all
            return
        parts = [Parts(*one) for one in zip(gradients, shapes, strict=True)]
        floats = [tensor for one in parts for tensor in one.floats]
        found["finite"] = ops.logical_and(all_finite(floats), has_weights)
        found["gradients"] = of_gradients(due, found["finite"], parts)
        found["weights"] = of_weights(due, has_weights, weights)


def _symbolic(spec: Any) -> Any:
    if getattr(spec, "shape", None) is None:  # of what is not given, such as sample weights
        return None
    return keras.KerasTensor(spec.shape, keras.backend.standardize_dtype(spec.dtype))


def _value(weight: Any) -> Any:
    return weight.value if isinstance(weight, keras.Variable) else weight
