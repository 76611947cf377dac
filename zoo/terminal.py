"""What the command lines share: errors as a line, Ctrl-C, and a TensorFlow that keeps quiet."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

CONTEXT = {"help_option_names": ["-h", "--help"]}

# What a user can do wrong, or lack, shows as these; anything else is a mistake of ours.
_ERRORS = (ValueError, OSError, RuntimeError, FloatingPointError, ImportError)
# What click itself ends a command with; two of them are a RuntimeError, the last an OSError.
_ENDS = (click.exceptions.Exit, click.Abort, BrokenPipeError)


class Command(click.Command):
    """A command that tells errors, warnings and Ctrl-C in a line each, not by a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: click.echo(
                f"Warning: {self._in_options(str(message))}", err=True
            )
            try:
                return super().invoke(context)
            except _ENDS:
                raise
            except _ERRORS as error:
                raise click.ClickException(self._in_options(str(error))) from error
            except KeyboardInterrupt:
                can_resume = any(parameter.name == "resume" for parameter in self.params)
                advice = " The same command with --resume goes on." if can_resume else ""
                # A terminal shows ^C, and a bar may be half drawn.
                click.echo(f"{chr(10) * os.isatty(2)}Stopped.{advice}", err=True)
                context.exit(130)

    def _in_options(self, message: str) -> str:
        """Give a message in one line, with the command's options in place of Python's arguments."""
        message = " ".join(click.unstyle(message).split())
        for parameter in self.params:
            name, spelling = str(parameter.name), parameter.opts[-1]
            if isinstance(parameter, click.Option):
                written = spelling if parameter.is_flag else rf"{spelling} \1"
                value = r"'?((?<=')[^']*(?=')|\([^)]*\)|[\w.+-]*\w)'?"
                message = re.sub(rf"(?<![\w/.\\'-])`?\b{name}`?={value}`?", written, message)
            else:
                spelling = spelling.upper()
            message = message.replace(f"`{name}`", spelling)
        return message


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def quiet_tensorflow() -> None:
    """Load TensorFlow without the lines that its native code writes; call it before Keras loads.

    A user who sets `TF_CPP_MIN_LOG_LEVEL` sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ or sys.stderr is None:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    kept = os.dup(2)  # what is written to it while TensorFlow loads heeds no level
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def watching(quiet: bool = False, callbacks: Sequence[Any] = ()) -> dict[str, Any]:
    """Give a training its `verbose` and `callbacks`: a bar on a terminal, else a line an epoch."""
    silent = quiet or sys.stdout is None  # closed
    if silent or sys.stdout.isatty():
        return {"verbose": 0 if silent else "auto", "callbacks": list(callbacks)}
    import keras

    class EpochLines(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            values = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
            click.echo(f"epoch {epoch + 1}/{self.params['epochs']}  {values}")

    return {"verbose": 0, "callbacks": [*callbacks, EpochLines()]}
