"""What the tests of searches search: few epochs, around one point."""

QUICK = dict(epochs=1, precision="float32", verbose=0)

# One point of the space of "mlp"; tests vary one or two of its values.
POINT = dict(
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.5,
    learning_rate_schedule="constant",
    batch_size=64,
    depth=1,
    first_units=32,
    activation="relu",
    batch_norm=False,
    dropout=0.0,
    skip_connections=False,
)


def without(values, *names):
    return {name: value for name, value in values.items() if name not in names}
