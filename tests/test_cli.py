"""The command line and the import of the packages, as a user meets them: in fresh processes."""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import click
import keras
import pandas as pd
import pytest
from PIL import Image

import tuning
import tuning.cli
import zoo
import zoo.cli
from zoo.terminal import Command
from zoo.training.recipe import DEFAULTS

SCRIPTS = Path(sys.executable).parent


def run(*arguments, **environment):
    """Run a program as a user does who has set nothing of TensorFlow's."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TF_CPP")}
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=300, env={**inherited, **environment}
    )


def keras_zoo(*arguments):
    return run(SCRIPTS / "keras-zoo", *arguments)


def test_importing_the_packages_loads_no_framework():
    program = (
        "import sys, zoo, tuning\n"
        "heavy = {'keras', 'tensorflow', 'keras_tuner', 'sklearn', 'matplotlib', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(sys.executable, "-c", program).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "found"),
    [("true", "true"), ("1e3", "1e3"), ("None", "None"), ("['a', 'b']", ["a", "b"])],
)
def test_a_target_is_a_column_and_no_number(text, found):
    @click.command()
    @zoo.cli.data_options
    def command(target, **options):
        raise SystemExit(0 if target == found else 1)

    with pytest.raises(SystemExit) as ended:
        command(["--target", text], standalone_mode=False)
    assert ended.value.code == 0


def test_a_models_texts_are_read_from_the_files_that_are_named(tmp_path):
    texts = [("good day " if index % 2 else "bad night ") + str(index) for index in range(40)]
    pd.DataFrame({"text": texts, "label": ["neg", "pos"] * 20}).to_csv(tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv", index_col=0)
    vectors = keras.layers.TextVectorization(50, output_sequence_length=3)
    vectors.adapt(texts)
    layers = [vectors, keras.layers.Embedding(50, 8), keras.layers.Flatten()]
    model = keras.Sequential(
        [keras.Input((), dtype="string"), *layers, keras.layers.Dense(2, "softmax")]
    )
    data = zoo.load_data(frame, target="label", kind="texts")
    options = dict(directory=tmp_path / "run", epochs=20, learning_rate=0.02, verbose=0)
    zoo.train(model, data, task="classification", **options)
    (tmp_path / "one.txt").write_text("good day 3")
    shown = keras_zoo("predict", str(tmp_path / "run"), str(tmp_path / "a.csv"), "--json")
    assert [row["class"] for row in json.loads(shown.stdout)] == ["neg", "pos"] * 20
    lines = keras_zoo("predict", str(tmp_path / "run"), str(tmp_path / "one.txt")).stdout
    assert lines.startswith("good day 3  pos")


def test_every_public_name_is_found_and_listed():
    for package in (zoo, tuning):
        assert sorted(package.__all__) == sorted(dir(package))
        for name in package.__all__:
            assert getattr(package, name).__doc__
        with pytest.raises(AttributeError, match="nothing"):
            package.nothing  # noqa: B018


def test_modules_of_the_interface_need_no_import_of_their_own():
    program = "import zoo; zoo.data.Augment, zoo.tasks.get, zoo.layers.TiedConv2D"
    result = run(sys.executable, "-c", program)
    assert result.returncode == 0, result.stderr


def test_help_names_and_mistakes_load_no_framework():
    program = """
import sys, tuning.cli, zoo, zoo.cli
def ends(command, *arguments):
    try:
        command.main(list(arguments))
    except SystemExit as end:
        return end.code
search, command = tuning.cli.main, zoo.cli.main
fine = [("list",), ("describe", "vgg16"), ("-h",), ("--help",), ("train", "-h"), ("--version",)]
assert [ends(command, *arguments) for arguments in fine] == [0] * len(fine)
assert [ends(search, option) for option in ("-h", "--help", "--version")] == [0, 0, 0]
wrong = [("list", "vgh*"), ("list", "--task", "x"), ("describe", "x"), ("train", "x", "digits")]
assert all(ends(command, *arguments) for arguments in wrong)
assert ends(command, "train", "x", "digits", "--directory", "unused") == 1
assert ends(search, "x", "digits", "--directory", "unused") == 1
print(sorted({"keras", "tensorflow", "sklearn", "matplotlib"} & set(sys.modules)))
"""
    result = run(sys.executable, "-c", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    assert all(command in result.stdout for command in ("list", "describe", "train", "export"))
    assert result.stdout.count(f", version {zoo.__version__}\n") == 2


def test_list_and_describe():
    assert keras_zoo("list", "vgg*").stdout.split() == ["vgg16", "vgg19"]
    assert "convs_per_block = (2, 2, 3, 3, 3)" in keras_zoo("describe", "vgg16").stdout


def test_train_then_export_then_refuse(tmp_path):
    train = ("train", "mlp_tiny", "digits", "--epochs", "3", "--directory", str(tmp_path / "run"))
    trained = keras_zoo(*train, "--argument", "hidden_units=(16,)")
    assert (trained.returncode, trained.stderr) == (0, "")
    *epochs, _, _, _ = trained.stdout.splitlines()
    assert [line[:9] for line in epochs] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "val_accuracy 0." in epochs[0]
    results = trained.stdout.splitlines()[3:]
    assert results[0].startswith("test accuracy: 0.")
    assert not {"\r", "\b", "\x1b"} & set(trained.stdout)
    assert (tmp_path / "run" / "learning_curves.png").stat().st_size > 5000
    assert (tmp_path / "run" / "confusion_matrix.png").stat().st_size > 5000
    exported = keras_zoo("export", str(tmp_path / "run"), str(tmp_path / "served"))
    assert (exported.returncode, exported.stderr) == (0, "")
    assert "serving_default" in exported.stdout
    again = keras_zoo(*train)
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_verifier_is_trained_exported_and_searched(tmp_path, digits):
    train = ("train", "siamese_cnn_tiny", "digits", "--epochs", "1", "--argument", "head=embedding")
    task = ("--task-argument", "mining=batch_hard", "--task-argument", "target_far=0.05")
    trained = keras_zoo(*train, *task, "--directory", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    assert all(f"test {rate}: 0." in trained.stdout for rate in ("auc", "eer", "far", "tar"))
    pictures = {"learning_curves", "roc_curve", "distances", "mistakes", "embeddings", "health"}
    assert {path.stem for path in (tmp_path / "run").glob("*.png")} == pictures
    exported = keras_zoo("export", str(tmp_path / "run"), str(tmp_path / "served"))
    assert exported.returncode == 0, exported.stderr
    signatures = exported.stdout.partition(": ")[2].partition(";")[0].split(", ")
    assert set(signatures) == {"serving_default", "embed", "similarity", "same"}
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for index, image in enumerate(digits.test.examples(range(2))[..., 0]):
            Image.fromarray((image * 255).astype("uint8")).save(tmp_path / side / f"{index}.png")
    left, right = str(tmp_path / "left"), str(tmp_path / "right")
    pairs = keras_zoo("predict", str(tmp_path / "run"), left, right).stdout.splitlines()
    for index, line in enumerate(pairs):
        names, distance, same = line.split("  ")
        assert names == f"{left}/{index}.png {right}/{index}.png"
        assert (float(distance) < 1e-3, same) == (True, "True")
    alone = keras_zoo("predict", str(tmp_path / "run"), left).stdout.splitlines()
    assert len(alone) == len(pairs) == 2
    assert all(line.endswith(" values)") for line in alone)

    tune = ("siamese_cnn_tiny", "digits", "--max-trials", "1", "--epochs", "1")
    fixed = ("--fix", "head=proxies", "--directory", str(tmp_path / "search"))
    tuned = run(SCRIPTS / "keras-zoo-tune", *tune, *fixed)
    assert (tuned.returncode, tuned.stderr) == (0, "")
    assert "\x1b" not in tuned.stdout
    assert "val_auc 0." in tuned.stdout
    (best_task,) = (line for line in tuned.stdout.splitlines() if line.startswith("best task:"))
    assert "scale=" in best_task
    assert (tmp_path / "search" / "report.png").exists()


def test_a_table_is_trained_on_and_predicted(tmp_path):
    rows = [
        f"{age},{city},{age * 300 + 9000 * (city == 'Oslo')}"
        for age in range(20, 70)
        for city in ("Oslo", "Rome")
    ]
    table = tmp_path / "people.csv"
    table.write_text("\n".join(["age,city,income", *(f"{row}.5" for row in rows)]))
    options = ("--directory", str(tmp_path / "run"), "--epochs", "60", "--learning-rate", "0.01")
    more = ("--target", "income", "--early-stopping", "9", "--json")
    trained = keras_zoo("train", "mlp_tiny", str(table), *options, *more)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["metrics"]["r2"] > 0.5
    output = tmp_path / "found.csv"
    predicted = keras_zoo("predict", str(tmp_path / "run"), str(table), "--output", str(output))
    assert predicted.returncode == 0, predicted.stderr
    header, first, *others = output.read_text().splitlines()
    assert header == "example,income"
    assert float(first.split(",")[1]) > 5000
    assert len(others) == 99
    shown = keras_zoo("predict", str(tmp_path / "run"), str(table), "--json")
    assert json.loads(shown.stdout)[0]["example"] == "0"
    twice = keras_zoo("predict", str(tmp_path / "run"), str(table), str(table))
    assert (twice.returncode, twice.stdout) == (1, "")
    assert "Give one folder or one table" in twice.stderr


def test_pictures_are_predicted_by_their_class_names(tmp_path, digits):
    for index in range(40):
        label = digits.train.labels[index] % 2
        folder = tmp_path / "images" / ("even", "odd")[label]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (digits.train.examples([index])[0, :, :, 0] * 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    options = ("--directory", str(tmp_path / "run"), "--epochs", "30", "--learning-rate", "0.01")
    told = ("--color", "grey", "--augment", "shift=1", "--class-weight", "odd=2", "--quiet")
    train = ("train", "mlp_tiny", str(tmp_path / "images"))
    trained = keras_zoo(*train, *options, *told, "--validation-fraction", "0")
    assert (trained.returncode, trained.stdout) == (0, ""), trained.stderr
    files = sorted(map(str, (tmp_path / "images" / "odd").iterdir()))[:3]
    lines = keras_zoo("predict", str(tmp_path / "run"), *files).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == files
    assert {line.split("  ")[1] for line in lines} <= {"even", "odd"}


TRAIN = ("train", "mlp_tiny", "digits", "--directory", "unused")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "vgh*"), "No model matches 'vgh*'. "),
        (("list", "--task", "classify"), "Did you mean 'classification'?"),
        (("describe", "vgg61"), "Did you mean"),
        (("train", "mlp", "digitz", "--directory", "unused"), "digits"),
        ((*TRAIN, "--task-argument", "x=1"), "'classification' has no argument 'x'"),
        ((*TRAIN, "--batch-size", "0"), "Error: --batch-size must be an integer"),
        (
            (*TRAIN[:-1], "tests"),
            "or resume what it holds (--resume)",
        ),
        (("export", "nowhere", "unused"), "holds no run with a complete epoch"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        zoo.cli.main(arguments)
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
    assert not Path("unused").exists()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("`learning_rate` and `filters` clash.", "--learning-rate and `filters` clash."),
        ("Give learning_rate='low', not `learning_rate`=2.", "Give --learning-rate low, not "),
        ("size=(8, 9) or the size of others", "--size (8, 9) or the size of others"),
        ("Pass `resume=True`, or resume=True.", "Pass --resume, or --resume."),
        ("my_size=3 stays, and resumed=True", "my_size=3 stays, and resumed=True"),
        ("`data` must be", "DATA must be"),
        ("\x1b[1mLayer\x1b[0m\n\n  is `odd`", "Layer is `odd`"),
    ],
)
def test_errors_and_warnings_speak_of_options(message, told, capsys):
    @click.command(cls=Command)
    @click.argument("data")
    @click.option("--learning-rate")
    @click.option("--size")
    @click.option("--resume", is_flag=True)
    def command(**_):
        warnings.warn(message, stacklevel=1)
        raise ValueError(message)

    with pytest.raises(SystemExit):
        command.main(["digits"])
    warned, failed = capsys.readouterr().err.splitlines()
    assert warned.startswith(f"Warning: {told}")
    assert failed.startswith(f"Error: {told}")


def test_a_command_that_is_stopped_says_how_to_go_on(tmp_path):
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from zoo.cli import main; main()"
    )
    train = ("train", "mlp_tiny", "digits", "--epochs", "30", "--directory", str(tmp_path / "run"))
    command = [sys.executable, "-uc", program, *train]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, **pipes) as process:
        while not process.stdout.readline().startswith("epoch 3/"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "Stopped. The same command with --resume goes on."
    assert "Traceback" not in told
    resumed = keras_zoo(*train, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 2/30" not in resumed.stdout
    assert "epoch 4/30" in resumed.stdout
    assert "test accuracy: 0." in resumed.stdout


@pytest.mark.parametrize("pair", ["x", "=1"])
def test_pairs_without_a_key_are_a_wrong_usage(pair):
    wrong = keras_zoo(*TRAIN, "--argument", pair)
    assert wrong.returncode == 2
    assert "Expected KEY=VALUE" in wrong.stderr


def test_every_value_of_a_recipe_is_an_option_of_both_commands():
    for command in (zoo.cli.main.commands["train"], tuning.cli.main):
        assert set(DEFAULTS) <= {parameter.name for parameter in command.params}


def test_tensorflow_is_heard_by_whom_asks_for_it():
    program = "import sys; from zoo.terminal import quiet_tensorflow; quiet_tensorflow()\n"
    program += "import tensorflow as tf; tf.zeros(2); print('mine', file=sys.stderr)"
    assert run(sys.executable, "-c", program).stderr == "mine\n"
    assert ".cc:" in run(sys.executable, "-c", program, TF_CPP_MIN_LOG_LEVEL="0").stderr
