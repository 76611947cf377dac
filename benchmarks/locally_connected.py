"""Locally connected layers, forward and backward: ours, tf_keras's, PyTorch, JAX and an einsum.

python benchmarks/locally_connected.py          (20 minutes; needs benchmarks/requirements.txt)
python benchmarks/locally_connected.py --check  (errors against ours, instead of times)

A step is the output and the gradients with respect to inputs, kernel and bias, for a given gradient
of the output, in float32. Each contestant runs in each of its settings; the table has the fastest.
"Usual" are peers and einsum without XLA, torch.compile and huge pages (JAX always compiles). The
einsum is what a good user writes in TensorFlow: patches by slices, derivatives by the tape. The
floor of a step is the longer of its multiplications at the measured rate of a matrix product, and
of reading and writing everything once (the kernel twice, its gradient once) at that of a copy. The
products are the step's three matrix products alone, on patches that are ready, by the faster of
TensorFlow and PyTorch: a step that makes patches and multiplies by them takes longer.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import importlib
import math
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from local_contestants import CONTESTANTS, PRODUCTS, Step
from local_shapes import SHAPES, Shape, left_out
from measure import interleaved, report, summary

LARGEST = "63x63x16"
LARGE_BATCH = 64
PEERS = ("tf_keras", "PyTorch", "JAX")
MEASURED_FOR_MEMORY = ("keras-zoo", "PyTorch", "einsum")
ALONE = ("tf_keras", "implementation 1")  # takes 15 GB and a minute on the largest shape
MODULES = {
    "keras-zoo": "zoo.layers",
    "tf_keras": "tf_keras",
    "PyTorch": "torch",
    "JAX": "jax",
    "einsum": "tensorflow",
}
COMPILED = ("jit", "compiled", "huge pages")  # parts of settings' names
RATIOS = ("peers / ours", "einsum / ours", "usual peers / ours", "usual einsum / ours")
Key = tuple[str, str]  # contestant, setting
Maker = Callable[[Shape], Step]


def repeated(make: Maker, shape: Shape) -> Callable[[], None]:
    step, _ = make(shape)

    def run() -> None:
        for _ in range(shape.steps):
            step()

    return run


def matrix_product(side: int = 2048) -> Callable[[], None]:
    import tensorflow as tf

    a, b = tf.random.normal((2, side, side))

    def run() -> None:
        tf.matmul(a, b).numpy()

    return run


def copy(size: int = 256_000_000) -> Callable[[], None]:
    threads = os.cpu_count() or 1
    source, target = np.ones((2, threads, size // threads), "uint8")
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(np.copyto, target, source)).clear()


def measured_rates(rounds: int) -> dict[str, float]:
    """Operations a second in a matrix product, and bytes a second, read and written, in a copy."""
    times = interleaved({"product": matrix_product, "copy": copy}, rounds=rounds, steps=1)
    return {
        "GFLOP/s": round(2 * 2048**3 / min(times["product"]) / 1e6, 1),
        "GB/s": round(2 * 256e6 / min(times["copy"]) / 1e6, 1),
    }


def time_shape(name: str, chosen: dict[Key, Maker], rounds: int) -> list[dict[str, Any]]:
    """Milliseconds a step in every setting."""
    shape = SHAPES[name]
    makes = fitting(shape, chosen)
    makes |= {("products", library): make for library, make in PRODUCTS.items()}
    makers = {key: partial(repeated, make, shape) for key, make in makes.items()}
    times = interleaved(makers, rounds=rounds, steps=shape.steps)
    return [
        {"shape": name, "contestant": contestant, "setting": setting, **summary(values)}
        for (contestant, setting), values in times.items()
    ]


def fitting(shape: Shape, chosen: dict[Key, Maker]) -> dict[Key, Maker]:
    return {key: make for key, make in chosen.items() if not left_out(shape, key[1])}


def compare(name: str, settings: list[dict[str, Any]], rates: dict[str, float]) -> dict[str, Any]:
    """Row of the table: each contestant at its fastest, and how ours compares."""
    best = fastest(settings)
    usual = fastest([row for row in settings if not any(w in row["setting"] for w in COMPILED)])
    floor = max(SHAPES[name].flops / rates["GFLOP/s"], SHAPES[name].bytes / rates["GB/s"]) / 1e6
    ours = milliseconds(best, ["keras-zoo"])
    cells = {who: f"{row['median ms']} ({row['setting']})" for who, row in best.items()}
    return {
        "shape": name,
        **{contestant: cells.get(contestant, "") for contestant in CONTESTANTS},
        "peers / ours": round(milliseconds(best, PEERS) / ours, 2),
        "einsum / ours": round(milliseconds(best, ["einsum"]) / ours, 2),
        "usual peers / ours": round(milliseconds(usual, PEERS) / ours, 2),
        "usual einsum / ours": round(milliseconds(usual, ["einsum"]) / ours, 2),
        "floor ms": round(floor, 2),
        "ours / floor": round(ours / floor, 2),
        "products ms": milliseconds(best, ["products"]),
    }


def fastest(settings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each contestant's fastest setting."""
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(settings, key=lambda row: row["median ms"]):
        best.setdefault(row["contestant"], row)
    return best


def milliseconds(best: dict[str, dict[str, Any]], contestants: Iterable[str]) -> float:
    """The least of some contestants' times; not a number where none was measured."""
    return min((best[who]["median ms"] for who in contestants if who in best), default=math.nan)


def fresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def first_steps(contestant: str, setting: str, shape: Shape) -> dict[str, Any]:
    """Seconds of the first call, milliseconds of the third, and the peak of memory."""
    importlib.import_module(MODULES[contestant])
    imported = peak_memory()
    step, _ = CONTESTANTS[contestant][setting](shape)
    made, started = peak_memory(), time.perf_counter()
    step()
    first = time.perf_counter() - started
    step()
    started = time.perf_counter()
    step()
    third = time.perf_counter() - started
    return {
        "contestant": contestant,
        "setting": setting,
        "batch": shape.batch,
        "first call s": round(first, 2),
        "third call ms": round(third * 1e3, 1),
        "imported GB": imported,
        "made GB": made,
        "peak GB": peak_memory(),
        "peak over imported GB": round(peak_memory() - imported, 3),
    }


def peak_memory() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)


def measure_largest(chosen: dict[Key, Maker], rounds: int) -> dict[str, Any]:
    """First call and memory on the largest shape, and whether a larger batch is slower."""
    shape, large = SHAPES[LARGEST], SHAPES[LARGEST]._replace(batch=LARGE_BATCH)
    keys = [*fitting(shape, chosen)]
    if ALONE in chosen:
        keys.append(ALONE)
    first = [fresh(first_steps, *key, shape) for key in keys]
    first += [fresh(first_steps, *key, large) for key in keys if key[0] in MEASURED_FOR_MEMORY]
    ours = {
        (setting, one.batch): partial(repeated, make, one)
        for (contestant, setting), make in fitting(shape, chosen).items()
        for one in (shape, large)
        if contestant == "keras-zoo"
    }
    times = interleaved(ours, rounds=rounds, steps=shape.steps) if ours else {}
    samples = [
        {
            "setting": setting,
            "batch": batch,
            "ms a sample": round(statistics.median(values) / batch, 3),
        }
        for (setting, batch), values in times.items()
    ]
    return {"first_calls": first, "by_batch": samples}


def save_outputs(make: Maker, shape: Shape, path: Path) -> None:
    step, ours = make(shape)
    np.savez(path, *ours(step()))


def errors(make: Maker, shape: Shape, path: Path) -> dict[str, float]:
    """Largest difference from the saved outputs."""
    step, ours = make(shape)
    parts = ("outputs", "d inputs", "d kernel", "d bias")
    with np.load(path) as saved:
        return {
            part: float(f"{np.abs(theirs.reshape(mine.shape) - mine).max():.1e}")
            for part, mine, theirs in zip(parts, saved.values(), ours(step()), strict=True)
        }


def check_shape(name: str, chosen: dict[Key, Maker]) -> list[dict[str, Any]]:
    shape = SHAPES[name]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ours.npz"
        fresh(save_outputs, CONTESTANTS["keras-zoo"]["plain"], shape, path)
        for (contestant, setting), make in fitting(shape, chosen).items():
            differences = fresh(errors, make, shape, path)
            rows.append(
                {"shape": name, "contestant": contestant, "setting": setting, **differences}
            )
    return rows


def comma_separated(known: Iterable[str]) -> Callable[..., list[str]]:
    def parse(_: click.Context, option: click.Parameter, value: str) -> list[str]:
        names = value.split(",")
        if unknown := set(names) - set(known):
            raise click.BadParameter(f"{sorted(unknown)}; known are {sorted(known)}.", param=option)
        return names

    return parse


@click.command()
@click.option("--shapes", default=",".join(SHAPES), callback=comma_separated(SHAPES))
@click.option("--contestants", default=",".join(CONTESTANTS), callback=comma_separated(CONTESTANTS))
@click.option("--rounds", default=7, show_default=True)
@click.option("--check", is_flag=True, help="Compare the results with ours, instead of the times.")
def main(shapes: list[str], contestants: list[str], rounds: int, check: bool) -> None:
    """Time a step of locally connected layers in several libraries."""
    chosen = {
        (name, setting): make for name in contestants for setting, make in CONTESTANTS[name].items()
    }
    if check:
        rows = [row for name in shapes for row in check_shape(name, chosen)]
        report("locally_connected_errors", rows)
        return
    rates = measured_rates(rounds)
    settings = {name: time_shape(name, chosen, rounds) for name in shapes}
    rows = [compare(name, settings[name], rates) for name in shapes]
    images = [row for row in rows if len(SHAPES[row["shape"]].sides) == 2]
    more = measure_largest(chosen, rounds) if LARGEST in shapes else {}
    report(
        "locally_connected",
        rows,
        rates=rates,
        geometric_means_of_images={
            ratio: round(statistics.geometric_mean(row[ratio] for row in images), 2)
            for ratio in RATIOS
            if images
        },
        **more,
        settings=[row for name in shapes for row in settings[name]],
        left_out=[
            {"shape": name, "setting": " ".join(key), "reason": reason}
            for name in shapes
            for key in chosen
            if (reason := left_out(SHAPES[name], key[1]))
        ],
    )


if __name__ == "__main__":
    main()
