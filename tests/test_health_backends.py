"""What is tested of the monitor on TensorFlow holds on JAX."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_monitor_on_jax():
    names = ("test_health_monitor.py", "test_health_measures.py")
    tests = [Path(__file__).with_name(name) for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:]
