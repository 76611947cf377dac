"""A small table, as the tests of tables share."""

import numpy as np
import pandas as pd

CITIES = np.array(["Bonn", "Oslo", "Rome"])


def people(count=100, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, count)
    city = CITIES[np.arange(count) % 3]
    frame = {"age": age, "city": city, "member": rng.random(count) > 0.5, "income": age * 1e3}
    return pd.DataFrame(frame)
