"""The command line and the import of the packages, as a user meets them: in fresh processes."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(sys.executable).parent


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def keras_zoo(*arguments):
    return run(SCRIPTS / "keras-zoo", *arguments)


def test_importing_the_packages_loads_no_framework():
    program = (
        "import sys, zoo, tuning\n"
        "heavy = {'keras', 'tensorflow', 'keras_tuner', 'sklearn', 'matplotlib', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(sys.executable, "-c", program).stdout.strip() == "[]"


def test_every_public_name_is_found_and_listed():
    import tuning
    import zoo

    for package in (zoo, tuning):
        assert sorted(package.__all__) == sorted(dir(package))
        for name in package.__all__:
            assert getattr(package, name).__doc__
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            package.nothing  # noqa: B018


def test_modules_of_the_interface_need_no_import_of_their_own():
    program = "import zoo; zoo.data.Augment, zoo.tasks.get, zoo.layers.TiedConv2D"
    result = run(sys.executable, "-c", program)
    assert result.returncode == 0, result.stderr


def test_help_loads_no_framework():
    program = (
        "import sys\nfrom zoo.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    result = run(sys.executable, "-c", program)
    assert result.returncode == 0, result.stderr
    assert all(command in result.stdout for command in ("list", "describe", "train", "export"))


def test_list_and_describe():
    assert keras_zoo("list", "vgg*").stdout.split() == ["vgg16", "vgg19"]
    assert "convs_per_block = (2, 2, 3, 3, 3)" in keras_zoo("describe", "vgg16").stdout


def test_train_then_export_then_refuse(tmp_path):
    train = ("train", "mlp_tiny", "digits", "--epochs", "1", "--directory", str(tmp_path / "run"))
    trained = keras_zoo(*train, "--argument", "hidden_units=(16,)")
    assert trained.returncode == 0, trained.stderr
    assert "test accuracy: 0." in trained.stdout
    assert (tmp_path / "run" / "learning_curves.png").stat().st_size > 5000
    assert (tmp_path / "run" / "confusion_matrix.png").stat().st_size > 5000
    exported = keras_zoo("export", str(tmp_path / "run"), str(tmp_path / "served"))
    assert exported.returncode == 0, exported.stderr
    assert "serving_default" in exported.stdout
    again = keras_zoo(*train)
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_verifier_is_trained_exported_and_searched(tmp_path):
    train = ("train", "siamese_cnn_tiny", "digits", "--epochs", "1", "--argument", "head=embedding")
    task = ("--task-argument", "mining=batch_hard", "--task-argument", "target_far=0.05")
    trained = keras_zoo(*train, *task, "--directory", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    assert all(f"test {rate}: 0." in trained.stdout for rate in ("auc", "eer", "far", "tar"))
    pictures = {"learning_curves", "roc_curve", "distances", "mistakes", "embeddings"}
    assert {path.stem for path in (tmp_path / "run").glob("*.png")} == pictures
    exported = keras_zoo("export", str(tmp_path / "run"), str(tmp_path / "served"))
    assert exported.returncode == 0, exported.stderr
    signatures = exported.stdout.partition(": ")[2].partition(";")[0].split(", ")
    assert set(signatures) == {"serving_default", "embed", "similarity", "same"}

    tune = ("siamese_cnn_tiny", "digits", "--max-trials", "1", "--epochs", "1")
    fixed = ("--fix", "head=proxies", "--directory", str(tmp_path / "search"))
    tuned = run(SCRIPTS / "keras-zoo-tune", *tune, *fixed)
    assert tuned.returncode == 0, tuned.stderr
    assert "val_auc 0." in tuned.stdout
    (best_task,) = (line for line in tuned.stdout.splitlines() if line.startswith("best task:"))
    assert "scale=" in best_task
    assert (tmp_path / "search" / "report.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("describe", "vgg61"), "Did you mean"),
        (("train", "mlp", "digitz", "--directory", "unused"), "digits"),
        (("train", "mlp", "digits", "--directory", "unused", "--argument", "x"), "KEY=VALUE"),
        (("export", "nowhere", "unused"), "holds no complete run"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message):
    result = keras_zoo(*arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("unused").exists()
