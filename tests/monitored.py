"""Small nets that are trained with the monitor and without it."""

import keras
import numpy as np
from keras import layers, ops

RNG = np.random.default_rng(0)
X = RNG.random((104, 6)).astype("float32")  # 104 / 16: the last batch is smaller
Y = RNG.integers(0, 3, 104)
LOSS = "sparse_categorical_crossentropy"


def net(*more, policy="float32"):
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(8, "relu", name="first", dtype=policy), *more]
    return keras.Sequential(
        [keras.Input((6,)), *hidden, layers.Dense(3, "softmax", name="last", dtype=policy)]
    )


def fitted(model, callbacks=(), optimizer=None, epochs=3, x=X, y=Y, **options):
    fit = {name: options.pop(name) for name in ("sample_weight", "class_weight") if name in options}
    model.compile(optimizer or keras.optimizers.Adam(0.01), LOSS, **options)
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks), **fit)
    return model


def state(model):
    return [
        np.array(ops.convert_to_numpy(v)) for v in [*model.variables, *model.optimizer.variables]
    ]


CASES = {
    "plain": dict(),
    "XLA": dict(jit_compile=True),
    "no XLA": dict(jit_compile=False),
    "eager": dict(run_eagerly=True, epochs=1),
    "accumulation": dict(
        optimizer=lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    ),
    "momentum": dict(optimizer=lambda: keras.optimizers.SGD(0.1, 0.9, nesterov=True)),
    "average": dict(optimizer=lambda: keras.optimizers.SGD(0.1, use_ema=True)),
    "clipping": dict(optimizer=lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1)),
    "bfloat16": dict(policy="mixed_bfloat16"),
    "scaled loss": dict(
        policy="mixed_float16",
        optimizer=lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
    ),
    "several steps": dict(steps_per_execution=4),
    "weights": dict(class_weight={0: 2.0, 1: 1.0, 2: 0.5}),
}
