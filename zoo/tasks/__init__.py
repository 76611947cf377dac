"""What a model is trained for: how batches are made, compiled, judged and served."""

from zoo.tasks.base import Task
from zoo.tasks.base import get_task as get
from zoo.tasks.classification import ClassificationTask
from zoo.tasks.reconstruction import ReconstructionTask
from zoo.tasks.verification import VerificationTask

__all__ = ["ClassificationTask", "ReconstructionTask", "Task", "VerificationTask", "get"]
