"""What is tested of the monitor on TensorFlow holds on JAX; on several devices it stands aside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["monitor", "unbuilt", "measures", "targets"])
def test_the_monitor_on_jax(name):
    tests = Path(__file__).with_name(f"test_health_{name}.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:]


COPIES = """
import tensorflow as tf

halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
import zoo
from monitored import LOSS, X, Y, net

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = net()
    model.compile("adam", LOSS)
model.fit(X[:96], Y[:96], batch_size=16, verbose=0, callbacks=[zoo.GradientHealth()])
print("steps:", int(model.optimizer.iterations.numpy()))
"""


def test_copies_on_several_devices_train_without_it():
    done = subprocess.run(
        [sys.executable, "-c", COPIES],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "steps: 6" in done.stdout, done.stderr[-3000:]
    assert done.stderr.count("TensorFlow trains copies of the model side by side") == 1
