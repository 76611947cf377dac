"""README's examples run as they stand, but for a shorter search."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_every_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 9
    code = "\n".join(blocks).replace("max_trials=20", "max_trials=1")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["run"].metrics["accuracy"] > 0.9
    assert names["exported"].max_difference < 1e-5
    assert (tmp_path / "search.png").exists()
    assert names["rebuilt"].shape == names["images"].shape
    assert names["monitor"].report.findings[0].name == "vanishing_gradients"
    assert (tmp_path / "health" / "health.png").exists()
    assert names["twins"].output_names == ["distance"]
    assert names["codes"].shape == (100, 2)
