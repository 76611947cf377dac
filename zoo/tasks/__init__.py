"""What a model is trained for: how batches are made, compiled, judged and served."""

from zoo.tasks.base import Task, task_for
from zoo.tasks.base import get_task as get
from zoo.tasks.classification import ClassificationTask
from zoo.tasks.reconstruction import ReconstructionTask
from zoo.tasks.regression import RegressionTask
from zoo.tasks.verification import VerificationTask

__all__ = ["ClassificationTask", "ReconstructionTask", "RegressionTask", "VerificationTask"]
__all__ += ["Task", "get", "task_for"]
