"""`keras-zoo-tune`: a search from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import tuning
from zoo.cli import data_options, load, output_options, task_options
from zoo.options import KeyValue, Value, given, options_of
from zoo.records import SEARCH, require_free
from zoo.registry import entry
from zoo.terminal import CONTEXT, Command, quiet_tensorflow
from zoo.training.recipe import DEFAULTS, Recipe


@click.command(cls=Command, context_settings=CONTEXT)
@click.version_option(package_name="keras-zoo")
@click.argument("name")
@click.argument("data")
@click.option(
    "--tuner",
    type=click.Choice(["random", "hyperband", "bayesian", "grid"]),
    default="random",
    show_default=True,
    help="How values are proposed.",
)
@click.option("--max-trials", type=int, default=20, show_default=True, help="Number of trials.")
@click.option("--fix", "fixed", type=KeyValue(), multiple=True, help="Fix a hyperparameter.")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=LOW:HIGH|KEY=A,B,C",
    help="Narrow or widen a hyperparameter.",
)
@click.option("--start", type=KeyValue(), multiple=True, help="Give the first trial's value.")
@click.option("--objective", help="The logged value to improve, if not the task's.")
@click.option("--direction", type=click.Choice(["max", "min"]), help="Of the objective.")
@click.option("--directory", required=True, type=click.Path(), help="Where the search is kept.")
@click.option("--resume", is_flag=True, help="Go on with the search in the directory.")
@task_options
@data_options
@options_of(Recipe, DEFAULTS, pairs=("augment", "class_weight"), defaults=False)
@output_options
def main(
    name: str,
    data: str,
    ranges: tuple[str, ...],
    directory: str,
    builder_arguments: tuple[Any, ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Search the hyperparameters of the model NAME on DATA.

    DATA is what zoo.load_data takes: a data set's name, a folder, an .npz file or a table. Values
    of a training that are given are those of every trial; the others vary. Ends with a table of
    the best trials, and a picture, report.png, in the directory.
    """
    entry(name)  # refuses unknown names, and the directory, before anything is loaded
    require_free(directory, SEARCH, wanted=options["resume"])
    quiet_tensorflow()
    loaded, task = load(name, data, options)
    result = tuning.search(
        name,
        loaded,
        task=task,
        ranges=key_ranges(ranges),
        directory=directory,
        verbose=0 if quiet or as_json else "auto",
        **given({**options, "arguments": builder_arguments}),
    )
    picture = result.plot(Path(directory) / "report.png")
    if as_json:
        best: dict[str, Any] = {"trial": result.best.number, "score": result.best_score}
        best |= {"arguments": result.best_arguments, "training": result.best_recipe.get_config()}
        click.echo(json.dumps({**best, "task": result.best_task.get_config()}))
    if quiet or as_json:
        return

    from rich.console import Console

    from zoo.space import describe_values

    console = Console()
    console.print(result.table())
    lines = {
        "best arguments:": describe_values(result.best_arguments),
        "best training:": describe_values(result.best_recipe.get_config()),
        "best task:": describe_values(result.best_task.get_config()),
        "picture:": picture,
    }
    for label, line in lines.items():
        if line:  # a task may have no values
            console.print(f"{label:15} {line}", soft_wrap=True)


def key_ranges(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `KEY=LOW:HIGH` options as tuples, and `KEY=A,B,C` as lists."""
    ranges: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not (key and separator):
            raise ValueError(f"Expected KEY=LOW:HIGH or KEY=A,B,C, received {pair!r}.")
        is_pair = ":" in text
        parts = text.split(":" if is_pair else ",")
        values = [Value().convert(part, None, None) for part in parts]
        ranges[key] = tuple(values) if is_pair else values
    return ranges
