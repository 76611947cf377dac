"""What a study gives: claims held against what was measured, a table, a picture, a page."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from zoo.files import cannot_write
from zoo.plots.parts import written
from zoo.records import versions

VERDICTS = {True: "It held.", False: "It did not hold.", None: "Too close to tell."}
LOWEST, HIGHEST = " lowest", " highest"  # behind a measure's name: the columns of its spread


class Spread(NamedTuple):
    """A measure over the runs of one net: their mean, the lowest and the highest."""

    mean: float
    lowest: float
    highest: float

    def told(self, measure: str) -> str:
        """Give it in words, a share as percent."""
        share = measure.startswith("accuracy")
        mean, *ends = (f"{100 * of:.1f}" if share else shown(of) for of in self)
        return f"{mean}{' %' * share}" + (f" ({' to '.join(ends)})" if len(set(ends)) > 1 else "")


def shown(value: float) -> str:
    """Write a number to three digits, a large one to its last."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence that books say, and what was measured.

    Attributes:
        text: The claim.
        measured: The figures that decide it.
        holds: Whether it held: `True` or `False` where all runs agree, `None` where they overlap.
    """

    text: str
    measured: str
    holds: bool | None

    def __str__(self) -> str:
        return f"{self.text} {VERDICTS[self.holds]} Measured: {self.measured}."


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes:
        name: The study's name.
        table: What was measured: a row for each net, and for each measure its mean over the seeds,
            its lowest and its highest value.
        claims: What books say, each beside what was measured.
        picture, page: The files that were written, beside the table.
    """

    name: str
    table: pd.DataFrame
    claims: tuple[Claim, ...]
    picture: Path
    page: Path


STUDIES: dict[str, Callable[..., Study]] = {}
"""Every study, by its name."""


def study(function: Callable[..., Study]) -> Callable[..., Study]:
    """Make a study known by its name."""
    STUDIES[function.__name__] = function
    return function


def apart(one: Spread, other: Spread) -> bool | None:
    """Tell whether all runs of the one are above those of the other; `None` where they overlap."""
    if one.lowest > other.highest:
        return True
    return False if one.highest < other.lowest else None


class Saying(NamedTuple):
    """What books say: one net has more of a measure than another; either may be a number."""

    text: str
    measure: str
    more: Any
    than: Any
    holds: Callable[[Spread, Spread], bool | None] = apart


def judged(sayings: Iterable[Saying], table: pd.DataFrame) -> list[Claim]:
    """Hold what is said of nets against a table, where it has both of them."""
    claims = []
    for text, measure, *sides, holds in sayings:
        if all(isinstance(side, float) or side in table.index for side in sides):
            spreads = [spread(table, measure, side) for side in sides]
            pairs = zip(sides, spreads, strict=True)
            figures = "; ".join(f"{named(side)} {of.told(measure)}" for side, of in pairs)
            claims.append(Claim(text, f"{measure}: {figures}", holds(*spreads)))
    return claims


def spread(table: pd.DataFrame, measure: str, net: Any) -> Spread:
    """Look a measure of a net up; what was measured once, and a number, has no ends."""
    if isinstance(net, float):
        return Spread(net, net, net)
    ends = (
        [measure + end for end in (LOWEST, HIGHEST)] if measure + LOWEST in table else [measure] * 2
    )
    return Spread(*(float(table.loc[net, column]) for column in (measure, *ends)))


def named(net: Any) -> str:
    """Name a net by its row, or a number as the limit that it is."""
    if isinstance(net, float):
        return "the limit"
    return ", ".join(map(str, net)) if isinstance(net, tuple) else str(net)


@contextlib.contextmanager
def empty_folder(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Make sure that a study can be written, before work starts; undo that where it fails."""
    if not isinstance(directory, str | os.PathLike):
        raise ValueError(f"`directory` must be a path, received {directory!r}.")
    folder = Path(directory).absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(directory)!r} is a file: choose another directory.")
    if folder.exists() and any(path.name[0] != "." for path in folder.iterdir()):
        raise FileExistsError(f"{str(directory)!r} is not empty: choose another directory.")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise cannot_write(folder, error) from error
        yield folder
    except BaseException:
        for path in missing:  # the deepest first; one that holds something stays
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def write_study(
    folder: Path,
    name: str,
    title: str,
    words: Sequence[str],
    table: pd.DataFrame,
    claims: Sequence[Claim],
    figure: Figure,
) -> Study:
    """Write a study's files into its folder, where they appear when all are complete."""
    text = page_text(name, title, words, table, claims)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-") as draft:
        table.to_csv(Path(draft, f"{name}.csv"))
        Path(draft, f"{name}.md").write_text(text, encoding="utf-8")
        written(figure, Path(draft, f"{name}.png"))
        for path in sorted(Path(draft).iterdir()):
            path.replace(folder / path.name)
    return Study(name, table, tuple(claims), folder / f"{name}.png", folder / f"{name}.md")


def page_text(
    name: str, title: str, words: Sequence[str], table: pd.DataFrame, claims: Sequence[Claim]
) -> str:
    """Write the page: what was asked, the claims as measured, the table, how it was done."""
    asked, how = (text.strip() for text in words)
    found = [
        f"{number}. {claim.text} **{VERDICTS[claim.holds]}**\n   Measured: {claim.measured}."
        for number, claim in enumerate(claims, 1)
    ]
    machine = ", ".join(f"{key} {value}" for key, value in versions().items())
    parts = [
        f"# {title}",
        asked,
        f"![{title}]({name}.png)",
        "## What books say, and what was measured",
        "A claim held where every run of the one net is above every run of the other. Where their "
        "runs overlap, it is too close to tell.",
        "\n".join(found),
        "## The table",
        "Means over the runs; in brackets the lowest and the highest run.",
        _markdown(table),
        "## How it was done",
        how,
        f"Measured with {machine} on {platform.machine()}, {os.cpu_count()} cores. Other machines "
        "and versions give other times, and slightly other figures.",
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(table: pd.DataFrame) -> str:
    """Lay a table out in Markdown, a measure and its spread in one cell."""
    measures = [column for column in table if not column.endswith((LOWEST, HIGHEST))]
    rows = [[*table.index.names, *measures], ["---"] * (table.index.nlevels + len(measures))]
    for net in table.index:
        labels = net if isinstance(net, tuple) else [net]
        rows.append([*labels, *(_cell(table, measure, net) for measure in measures)])
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _cell(table: pd.DataFrame, measure: str, net: Any) -> str:
    if table[measure].dtype.kind == "i":
        return f"{table.loc[net, measure]:,}"
    return spread(table, measure, net).told(measure)
