"""Options of the command lines, made from what Python's side says of its own arguments."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

# Words of JSON and of shells, which Python spells otherwise.
_LITERALS = {"true": "True", "false": "False", "null": "None", "none": "None"}


class Value(click.ParamType):
    """A Python literal, or one of JSON, of some types, or else a plain word."""

    name = "value"

    def __init__(self, *types: type) -> None:
        self.types = types or (object,)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read a text."""
        if not isinstance(value, str):
            return value
        try:
            found = ast.literal_eval(_LITERALS.get(value.lower(), value))
        except (ValueError, SyntaxError):
            return value
        return found if isinstance(found, self.types) else value


class KeyValue(click.ParamType):
    """KEY=VALUE, as `(key, value)`; where it may be bare also a word, as `(None, word)`."""

    name = "KEY=VALUE"

    def __init__(self, bare: bool = False) -> None:
        self.bare = bare

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read a text."""
        key, separator, text = value.partition("=")
        if not (key and separator) and not self.bare:
            self.fail(f"Expected KEY=VALUE, received {value!r}.", param, ctx)
        return (key, Value().convert(text, param, ctx)) if separator else (None, value)


def arguments_help(documented: Any) -> dict[str, str]:
    """Read what a docstring says of its arguments.

    Example:
        >>> from zoo.training.recipe import Recipe
        >>> arguments_help(Recipe)["epochs"]
        'Number of passes over the training part.'
    """
    text = inspect.getdoc(documented) or ""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
    pattern = r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)"
    found = re.findall(pattern, section[1] if section else "", re.DOTALL | re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def argument_option(name: str, words: str, *, pairs: bool = False) -> Callable[[Any], Any]:
    """Make an option of an argument: any value, or several KEY=VALUE."""
    option = f"--{name.replace('_', '-')}"
    value = Value(list, tuple) if name == "target" else Value()  # a column may be named 1e3
    kind = KeyValue(bare=name == "class_weight") if pairs else value
    shown = KeyValue.name if pairs else name.upper()
    return click.option(option, name, type=kind, metavar=shown, multiple=pairs, help=words)


def options_of(
    documented: Callable[..., Any],
    names: Collection[str],
    *,
    pairs: Collection[str] = (),
    defaults: bool = True,
) -> Callable[[Any], Any]:
    """Make an option of each of a callable's arguments."""
    helps, parameters = arguments_help(documented), inspect.signature(documented).parameters

    def decorate(command: Any) -> Any:
        for name in reversed(tuple(names)):
            words, default = helps[name], parameters[name].default
            if defaults and default not in (None, inspect.Parameter.empty):
                words = f"{words}  [default: {default}]"
            command = argument_option(name, words, pairs=name in pairs)(command)
        return command

    return decorate


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the options that the user gave."""
    found = {name: value for name, value in options.items() if value not in (None, ())}
    for name, value in found.items():
        if isinstance(value, tuple) and isinstance(value[0], tuple) and len(value[0]) == 2:
            if any(key is None for key, _ in value) and len(value) > 1:
                raise ValueError(f"`{name}` takes KEY=VALUE several times, or one word.")
            found[name] = dict(value) if value[0][0] is not None else value[0][1]
    return found
