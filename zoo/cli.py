"""The command `keras-zoo`: list, describe, train and export from a terminal."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import click

import zoo
from zoo.registry import entry, require_known, suggestion
from zoo.terminal import CONTEXT, Group, quiet_tensorflow, verbosity


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
@click.option("--argument", "arguments", multiple=True, metavar="KEY=VALUE", help="Of the builder.")
@click.option(
    "--task-argument", "task_arguments", multiple=True, metavar="KEY=VALUE", help="Of the task."
)
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--optimizer", default="adamw", show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--learning-rate-schedule", default="constant", show_default=True)
@click.option("--momentum", default=0.9, show_default=True)
@click.option("--weight-decay", default=0.0, show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--seed", default=0, show_default=True)
def train(
    name: str,
    data: str,
    arguments: tuple[str, ...],
    task_arguments: tuple[str, ...],
    **options: Any,
) -> None:
    """Train the model NAME on DATA: a data set's name, a folder of images, or an .npz file."""
    the_task = entry(name).task
    quiet_tensorflow()
    import zoo.plots
    import zoo.tasks

    task_values, make_task = key_values(task_arguments), type(zoo.tasks.get(the_task))
    require_known(f"The task {the_task!r}", task_values, inspect.signature(make_task).parameters)
    task = make_task(**task_values)
    loaded = zoo.load_data(data, split_by=task.split_by)
    run = zoo.train(
        name,
        loaded,
        arguments=key_values(arguments),
        task=task,
        verbose=verbosity(),
        **options,
    )
    zoo.plots.learning_curves(run.history, run.directory / "learning_curves.png")
    task.draw(run.model, loaded, run.directory)
    for metric, value in run.metrics.items():
        click.echo(f"test {metric}: {value:.4f}")
    click.echo(f"written to {run.directory}")


@main.command()
@click.argument("run")
@click.argument("path")
def export(run: str, path: str) -> None:
    """Export the model of the directory RUN as a SavedModel at PATH, and check it."""
    quiet_tensorflow()
    result = zoo.load_run(run).export(path)
    click.echo(
        f"{result.path}: {', '.join(result.signatures)}; {result.size_bytes / 1e6:.2f} MB; "
        f"differs from the model by at most {result.max_difference:.1e}"
    )


# Words of JSON and of shells, which Python spells otherwise.
_LITERALS = {"true": "True", "false": "False", "null": "None"}


def key_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `KEY=VALUE` options; values are Python's literals, or JSON's, or else plain words.

    Args:
        pairs: What the user gave.

    Returns:
        Values by key.

    Raises:
        ValueError: If an option has no "=".

    Example:
        >>> key_values(("filters=(8, 16)", "pooling=max"))
        {'filters': (8, 16), 'pooling': 'max'}
    """
    values = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not (key and separator):
            raise ValueError(f"Expected KEY=VALUE, received {pair!r}.")
        try:
            values[key] = ast.literal_eval(_LITERALS.get(text, text))
        except (ValueError, SyntaxError):
            values[key] = text
    return values
