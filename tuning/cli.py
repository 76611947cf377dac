"""`keras-zoo-tune`: a search from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tuning
import zoo
from zoo.cli import key_values
from zoo.registry import entry
from zoo.terminal import CONTEXT, Command, quiet_tensorflow


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
@click.option("--epochs", type=int, help="Epochs of each trial; Hyperband's longest trials.")
@click.option("--fix", "fixed", multiple=True, metavar="KEY=VALUE", help="Fix a hyperparameter.")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="KEY=LOW:HIGH|KEY=A,B,C",
    help="Narrow or widen a hyperparameter.",
)
@click.option("--start", multiple=True, metavar="KEY=VALUE", help="Give the first trial's value.")
@click.option("--precision", default="auto", show_default=True, help="As zoo.train takes it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every draw.")
@click.option("--directory", required=True, type=click.Path(), help="Where the search is kept.")
@click.option("--resume", is_flag=True, help="Go on with the search in the directory.")
def main(
    name: str,
    data: str,
    fixed: tuple[str, ...],
    ranges: tuple[str, ...],
    start: tuple[str, ...],
    directory: str,
    **options: Any,
) -> None:
    """Search the hyperparameters of the model NAME on DATA.

    DATA is what zoo.load_data takes: "digits", "fashion_mnist", a folder of images, an .npz file.
    Ends with a table of the best trials, and a picture, report.png, in the directory.
    """
    task = entry(name).task
    quiet_tensorflow()
    result = tuning.search(
        name,
        zoo.load_data(data, split_by=zoo.tasks.get(task).split_by),
        fixed=key_values(fixed),
        ranges=key_ranges(ranges),
        start=key_values(start) or None,
        directory=directory,
        **options,
    )

    from rich.console import Console

    from zoo.space import describe_values

    console = Console()
    console.print(result.table())
    console.print(f"best arguments: {describe_values(result.best_arguments)}", soft_wrap=True)
    console.print(
        f"best training:  {describe_values(result.best_recipe.get_config())}", soft_wrap=True
    )
    if task_values := result.best_task.get_config():
        console.print(f"best task:      {describe_values(task_values)}", soft_wrap=True)
    console.print(f"picture:        {result.plot(Path(directory) / 'report.png')}", soft_wrap=True)


def key_ranges(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `KEY=LOW:HIGH` options as tuples, and `KEY=A,B,C` as lists.

    Args:
        pairs: What the user gave.

    Returns:
        Ranges by key.

    Raises:
        ValueError: If an option has no "=".

    Example:
        >>> key_ranges(("epochs=2:9", "activation=relu,tanh"))
        {'epochs': (2, 9), 'activation': ['relu', 'tanh']}
    """
    ranges: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not (key and separator):
            raise ValueError(f"Expected KEY=LOW:HIGH or KEY=A,B,C, received {pair!r}.")
        is_pair = ":" in text
        parts = text.split(":" if is_pair else ",")
        values = [key_values((f"{key}={part}",))[key] for part in parts]
        ranges[key] = tuple(values) if is_pair else values
    return ranges
