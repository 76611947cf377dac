"""Training: what it is told, the one function that fits, and the directories that keep runs."""

from zoo.training.recipe import Recipe
from zoo.training.runs import Run, load_run
from zoo.training.train import train

__all__ = ["Recipe", "Run", "load_run", "train"]
