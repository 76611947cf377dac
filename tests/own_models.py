"""Models of one's own, as the tests of them share."""

import keras


def sequential():
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])


def functional(activation="softmax", outputs=10):
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(image)
    return keras.Model(image, keras.layers.Dense(outputs, activation)(x))


def compiled(optimizer, loss="sparse_categorical_crossentropy", **options):
    model = functional(**options)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model
