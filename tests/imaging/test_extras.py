"""Without the optional packages every command runs, or says in one line how to install what it needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from isotone.cli.app import EXTRAS
from make_images import write_cohort
from processes import COMMAND, environment

BLOCK = f"import sys\nfor name in {sorted(EXTRAS)!r}:\n    sys.modules[name] = None\n"
"""Python runs it at the start of every process, of workers too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort, and a package path on which nothing optional is installed."""
    made = tmp_path_factory.mktemp("light")
    write_cohort(made)
    (made / "path").mkdir()
    (made / "path" / "sitecustomize.py").write_text(BLOCK)
    for name in ("classifier", "evaluation"):
        (made / name).mkdir()
        (made / name / "config.json").write_text("{}")
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "manifest.csv", "--reference", "ref"),
        ("audit", "manifest.csv", "--reference", "ref", "--classifier", "classifier"),
        ("train", "manifest.csv", "--reference", "ref", "-o", "OUT"),
        ("evaluate", "manifest.csv", "--classifier", "classifier", "-o", "OUT"),
        ("evaluate", "manifest.csv", "--predictions", "scores.csv", "--reference", "ref", "-o", "OUT"),
        ("compare", "evaluation", "evaluation"),
        ("reproduce", "phantom", "--quick", "-o", "OUT"),
        ("demo", "-o", "OUT"),
        ("fit", "manifest.csv", "--reference", "ref", "--source", "src", "-o", "OUT"),
        ("fit", "manifest.csv", "--reference", "ref", "--source", "src", "--method", "gdce", "-o", "OUT"),
        ("demo", "--device", "cuda", "-o", "OUT"),
        ("inspect", "manifest.parquet"),
    ],
    ids=" ".join,
)
def test_a_command_without_its_extra_says_how_to_install_it(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (folder / "manifest.parquet").write_bytes(b"PAR1" * 8)
    (folder / "scores.csv").write_text("path,ref\n")
    given = [str(tmp_path / "out") if a == "OUT" else a for a in arguments]
    paths = environment()
    paths["PYTHONPATH"] = f"{folder / 'path'}:{paths.get('PYTHONPATH', '')}"
    done = subprocess.run([*COMMAND, *given], cwd=folder, capture_output=True, text=True, env=paths, check=False)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "[E_EXTRA]" in line
    assert 'pip install -e ".[train]"' in line
    assert not (tmp_path / "out").exists()


def test_the_packages_that_the_commands_miss_are_those_of_the_extras() -> None:
    """The names of packages and of what they install differ."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    installs = {"scikit-learn": "sklearn", "scikit-image": "skimage"}
    for extra in ("train", "tensorboard"):
        named = [re.split(r"[<>=;]", wanted)[0] for wanted in project["optional-dependencies"][extra]]
        assert {EXTRAS[installs.get(name, name)] for name in named} == {extra}
