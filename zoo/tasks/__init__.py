"""What a model is trained for: how batches are made, compiled, judged and served."""

from zoo.tasks.base import Task
from zoo.tasks.base import get_task as get
from zoo.tasks.classification import ClassificationTask

__all__ = ["ClassificationTask", "Task", "get"]
