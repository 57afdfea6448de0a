"""Without the optional packages every command runs, or says in one line how to install what it needs."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harmonizers import scanner_harmonizer
from isotone.cli.app import EXTRAS
from isotone.errors import installing
from make_images import write_cohort
from processes import environment

BLOCK = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
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
    scanner_harmonizer("src").save(made / "harmonizer")
    return made


SEVERAL = """
import contextlib, io, json, sys
from isotone.cli import main
said = []
for command in json.loads(sys.argv[1]):
    sys.argv[1:] = command
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""
"""isotone, several commands in one process: the exit code of each, and what it prints."""
LIGHT = [
    ("inspect", "src"),
    ("manifest", "src", "--domain-from", "subfolder", "-o", "OUT.csv"),
    ("apply", "harmonizer", "src", "--domain", "src", "-o", "OUT"),
    ("check", "harmonizer", "src", "--domain", "src"),
    ("curve", "harmonizer", "--plot", "OUT.svg"),
    ("trained-on", "classifier", "manifest.csv"),
    ("cohort", "phantom", "--patients", "30", "--size", "64", "-o", "OUT"),
]
HEAVY = [
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
    ("cohort", "nih", "scores.csv", "-o", "OUT"),
]


def run(folder: Path, commands: Iterable[Iterable[str]]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of commands where nothing optional is installed."""
    paths = environment()
    paths["PYTHONPATH"] = f"{folder / 'path'}:{paths.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", SEVERAL, json.dumps([*map(list, commands)])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=paths, check=False)
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[tuple[str, ...], tuple[int, str, str]]:
    """What each command says; its OUT is the folder `out-` and its number."""
    (folder / "manifest.parquet").write_bytes(b"PAR1" * 8)
    (folder / "scores.csv").write_text("path,ref\n")
    commands = [*LIGHT, *HEAVY]
    given = [[part.replace("OUT", f"out-{number}") for part in c] for number, c in enumerate(commands)]
    return dict(zip(commands, run(folder, given), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_a_command_of_the_light_half_needs_no_extra(
    answers: dict[tuple[str, ...], tuple[int, str, str]], arguments: tuple[str, ...]
) -> None:
    code, _, errors = answers[arguments]
    assert code == 0, errors


@pytest.mark.slow
def test_what_was_delivered_is_restored_without_an_extra(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    apply = ("apply", "harmonizer", "src", "--domain", "src", "-o", out)
    applied, restored = run(folder, [apply, ("restore", out, "-o", str(tmp_path / "again"))])
    assert applied[0] == 0
    assert "0 refused" in restored[1], restored[2]
    before, after = (
        np.asarray(Image.open(place / "0.png")).astype(int) for place in (folder / "src", tmp_path / "again")
    )
    # 16 bits in and 16 out: where the curve is flat, neighbouring levels meet.
    np.testing.assert_allclose(after, before, rtol=0, atol=8)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", HEAVY, ids=" ".join)
def test_a_command_without_its_extra_says_how_to_install_it(
    folder: Path, answers: dict[tuple[str, ...], tuple[int, str, str]], arguments: tuple[str, ...]
) -> None:
    code, _, errors = answers[arguments]
    assert code == 1, errors
    (line,) = errors.splitlines()
    assert "[E_EXTRA]" in line
    assert re.search(r'Install it: pip install (-e )?".*\[train\]', line)
    assert not (folder / f"out-{[*LIGHT, *HEAVY].index(arguments)}").exists()


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ({"url": "file:///a%20b/isotone", "dir_info": {"editable": True}}, '-e "/a b/isotone[plot]"'),
        ({"url": "file:///tmp/isotone-1-py3-none-any.whl"}, '"isotone[plot] @ file:///tmp/isotone-1-py3-none-any.whl"'),
        (
            {"url": "https://a.org/isotone.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
            '"isotone[plot] @ git+https://a.org/isotone.git@12ab"',
        ),
        ({}, '"isotone[plot]"'),
    ],
    ids=["clone", "wheel", "repository", "index"],
)
def test_the_advice_names_where_isotone_came_from(
    origin: dict[str, object], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str:
            return json.dumps(origin) if name == "direct_url.json" else ""

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed())
    assert installing("plot") == f"Install it: pip install {wanted}"


def test_the_packages_that_the_commands_miss_are_those_of_the_extras() -> None:
    """The names of packages and of what they install differ."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    installs = {"scikit-learn": "sklearn", "scikit-image": "skimage"}
    for extra in ("train", "plot", "tensorboard"):
        named = [re.split(r"[<>=;]", wanted)[0] for wanted in project["optional-dependencies"][extra]]
        assert {EXTRAS[installs.get(name, name)] for name in named} == {extra}
