"""The command `keras-zoo`: list, describe, train, predict, study and export from a terminal."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import click
import numpy as np

import zoo
from zoo.files import replacing
from zoo.options import KeyValue, argument_option, given, options_of
from zoo.records import CONFIG, require_free
from zoo.registry import entry, require_known, suggestion
from zoo.terminal import CONTEXT, Group, quiet_tensorflow, watching
from zoo.training.recipe import DEFAULTS, Recipe

DATA = {
    "image_size": "Of a folder: HEIGHT,WIDTH of all images.",
    "color": "Of a folder: grey or rgb.",
    "background": "Of a folder: colour below what is transparent.",
    "on_corrupt": "Of a folder: refuse or skip files that cannot be decoded.",
    "target": "Of a table: the column to predict.",
    "missing": "Of a table: refuse or impute missing values.",
    "validation_fraction": "Share of the examples to validate with.",
    "test_fraction": "Share of the examples to test with.",
}


def data_options(command: Any) -> Any:
    """Add what `zoo.load_data` takes."""
    for name, words in reversed(DATA.items()):
        command = argument_option(name, words)(command)
    return command


def output_options(command: Any) -> Any:
    """Add how much is printed, and in which form."""
    command = click.option("--quiet", is_flag=True, help="Print no progress.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")(command)


def task_options(command: Any) -> Any:
    """Add what the builder and the task are given."""
    for option, whose in (("--task-argument", "task"), ("--argument", "builder")):
        add = click.option(
            option, f"{whose}_arguments", type=KeyValue(), multiple=True, help=f"Of the {whose}."
        )
        command = add(command)
    words = "What it is trained for, if not what it is meant for."
    return click.option("--task", help=words)(command)


def load(name: str, source: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Load data for a model, and make its task; takes what it needs out of the options."""
    import zoo.tasks

    told = options.pop("task")
    wanted = told or entry(name).task
    values = given({"task": options.pop("task_arguments")}).get("task", {})
    make = type(zoo.tasks.get(wanted))
    require_known(f"The task {wanted!r}", values, inspect.signature(make).parameters)
    task = make(**values)
    of_data = given({key: options.pop(key) for key in DATA})
    data = zoo.load_data(source, split_by=task.split_by, **of_data)
    if not told and zoo.tasks.task_for(task.name, data) != task.name:
        task = zoo.tasks.get(zoo.tasks.task_for(task.name, data))
    return data, task


@click.group(cls=Group, context_settings=CONTEXT)
@click.version_option(package_name="keras-zoo")
def main() -> None:
    """Classic architectures of deep learning as Keras models."""


@main.command("list")
@click.argument("pattern", default="*")
@click.option("--task", help="Only models for this task.")
def list_command(pattern: str, task: str | None) -> None:
    """List the models whose names match PATTERN (such as "vgg*")."""
    names = zoo.list_models(pattern, task=task)
    if not names:
        known = dict.fromkeys(zoo.list_models(task=task))
        raise ValueError(f"No model matches {pattern!r}. {suggestion(pattern, known)}")
    click.echo("\n".join(names))


@main.command()
@click.argument("name")
def describe(name: str) -> None:
    """Describe the model NAME: summary, arguments with defaults, reference."""
    click.echo(zoo.describe(name))


@main.command()
@click.argument("name")
@click.argument("data")
@click.option("--directory", required=True, help="Where the run is written.")
@click.option("--resume", is_flag=True, help="Go on with the run in the directory.")
@click.option("--overwrite", is_flag=True, help="Delete the run in the directory, begin anew.")
@task_options
@data_options
@options_of(Recipe, DEFAULTS, pairs=("augment", "class_weight"))
@output_options
def train(name: str, data: str, quiet: bool, as_json: bool, **options: Any) -> None:
    """Train the model NAME on DATA: a data set's name, a folder, an .npz file or a table."""
    entry(name)  # refuses unknown names, and the directory, before anything is loaded
    require_free(options["directory"], CONFIG, wanted=options["resume"] or options["overwrite"])
    quiet_tensorflow()
    import zoo.plots

    loaded, task = load(name, data, options)
    arguments = given({"argument": options.pop("builder_arguments")}).get("argument")
    shown = watching(quiet or as_json)
    run = zoo.train(name, loaded, arguments=arguments, task=task, **shown, **given(options))
    zoo.plots.learning_curves(run.history, run.directory / "learning_curves.png")
    task.draw(run.model, loaded, run.directory)
    run.health.plot(run.directory / "health.png")
    if as_json:
        click.echo(json.dumps({"directory": str(run.directory), "metrics": run.metrics}))
    elif not quiet:
        for metric, value in run.metrics.items():
            click.echo(f"test {metric}: {value:.4f}")
        click.echo(f"written to {run.directory}")


@main.command()
@click.argument("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Write a .csv or .json file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict(run: str, files: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Tell what the model of the directory RUN makes of FILES.

    FILES are images, texts, a folder of these, or a table; of pairs a left and a right image.
    """
    if output is not None and output.suffix not in (".csv", ".json"):
        raise ValueError(f"`output` must end with .csv or .json, received {str(output)!r}.")
    quiet_tensorflow()
    from zoo.data.columns import SUFFIXES

    loaded = zoo.load_run(run)
    pair = loaded.task.split_by == "classes" and len(files) == 2
    if len(files) > 1 + pair and any(file.is_dir() or file.suffix in SUFFIXES for file in files):
        raise ValueError("Give one folder or one table, or several files of images or texts.")
    x: Any = files if pair else files[0] if len(files) == 1 else list(files)
    found = loaded.predict(x)
    sides = [loaded.preparation.names(half) for half in (x if pair else [x])]
    names = [" ".join(both) for both in zip(*sides, strict=True)]
    rows = _rows(names, found, loaded.class_names)
    if output is not None:
        import pandas as pd

        as_text = json.dumps(rows, indent=2)
        if output.suffix == ".csv":
            as_text = pd.DataFrame(rows).to_csv(index=False)
        with replacing(output) as draft:
            draft.write_text(as_text, encoding="utf-8", newline="")
        click.echo(f"written to {output}", err=as_json)
    elif as_json:
        click.echo(json.dumps(rows))
    else:
        singles = 1 + sum(np.ndim(value) == 1 for value in found.values())
        for row in rows:
            shown = list(row.values())[: singles if singles > 1 else None]
            click.echo("  ".join(map(_shown, shown)))


def _rows(names: list[str], found: dict[str, Any], class_names: Any) -> list[dict[str, Any]]:
    """Lay predictions out as rows: a column for each single value, and for each class."""
    title = "name of example" if "example" in found else "example"
    rows: list[dict[str, Any]] = [{title: name} for name in names]
    for key, values in found.items():
        for row, value in zip(rows, np.asarray(values).tolist(), strict=True):
            if key == "probabilities" and np.ndim(values) == 2:
                columns = [f"probability of {name}" for name in class_names]
                row.update(zip(columns, value, strict=True))
            elif np.ndim(value) < 2:
                row[key] = value
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_shown, value[:8])) + f" ... ({len(value)} values)" * (len(value) > 8)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@main.command()
@click.argument("run")
@click.option("--mend", "data", help="Try remedies, training anew on these data.")
@click.option("--directory", help="Where the trainings of --mend are written.")
@click.option("--max-attempts", type=int, default=12, show_default=True, help="Of --mend.")
@data_options
@output_options
def health(
    run: str,
    data: str | None,
    directory: str | None,
    max_attempts: int,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show what the monitor found in the run of the directory RUN, or mend it."""
    if bool(data) != bool(directory):
        raise ValueError("Mending needs both --mend DATA and --directory.")
    quiet_tensorflow()
    from zoo.health import Report
    from zoo.training.runs import HEALTH

    if data is None or directory is None:
        report = Report.load(Path(run) / HEALTH)
        report.plot(Path(run) / "health.png")
        click.echo(json.dumps(report.findings_as_json()) if as_json else report)
        return
    loaded = zoo.load_data(data, **given(options))
    shown = int(not quiet and not as_json)
    mended = zoo.mend(run, loaded, directory=directory, max_attempts=max_attempts, verbose=shown)
    if as_json:
        tried = [{"remedy": str(one.remedy), "kept": one.kept} for one in mended.attempts]
        click.echo(json.dumps({"attempts": tried, "healthy": mended.is_healthy}))
    else:
        click.echo(mended)


@main.command()
@click.argument("name", required=False)
@click.option("--directory", help="Where the picture, the table and the page are written.")
@click.option("--epochs", type=int, help="Passes over the training part, of each net.")
@click.option("--seeds", type=int, help="Runs of each net.")
@click.option("--seed", type=int, help="The first seed.")
@click.option("--argument", type=KeyValue(), multiple=True, help="Another argument of the study.")
@output_options
def study(name: str | None, directory: str, quiet: bool, as_json: bool, **options: Any) -> None:
    """Train small nets side by side to see what NAME does; without NAME list the studies."""
    quiet_tensorflow()
    from zoo.studies import STUDIES

    if name is None:
        for known, function in STUDIES.items():
            click.echo(f"{known:<12} {(inspect.getdoc(function) or '').partition(chr(10))[0]}")
        return
    if name not in STUDIES:
        raise ValueError(f"Unknown study {name!r}. {suggestion(name, STUDIES)}")
    told = given(options)
    values = {**told.pop("argument", {}), **told}
    require_known(f"The study {name!r}", values, inspect.signature(STUDIES[name]).parameters)
    found = STUDIES[name](directory, verbose=not (quiet or as_json), **values)
    if as_json:
        claims = [dataclasses.asdict(claim) for claim in found.claims]
        click.echo(json.dumps({"page": str(found.page), "claims": claims}))
    elif not quiet:
        click.echo("\n".join(map(str, found.claims)))
        click.echo(f"written to {found.page.parent}")


@main.command()
@click.argument("run")
@click.argument("path")
@click.option("--precision", default="float32", show_default=True, help="What it computes in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(run: str, path: str, precision: str, as_json: bool) -> None:
    """Export the model of the directory RUN as a SavedModel at PATH, and check it."""
    quiet_tensorflow()
    result = zoo.load_run(run).export(path, precision=precision)
    if as_json:
        found = {"path": str(result.path), "signatures": result.signatures}
        click.echo(json.dumps({**found, "max_difference": result.max_difference}))
    else:
        click.echo(
            f"{result.path}: {', '.join(result.signatures)}; {result.size_bytes / 1e6:.2f} MB; "
            f"differs from the model by at most {result.max_difference:.1e}"
        )
