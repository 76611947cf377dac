from .findings import Finding as Finding
from .history import History as History
from .monitor import GradientHealth as GradientHealth
from .report import Report as Report
from .rules import judge as judge
