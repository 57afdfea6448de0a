"""fit, evaluate and restore killed, stopped or out of room: the same command finishes as if nothing had been."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from harmonizers import scanner_harmonizer
from isotone._runtime.files import MARKER
from isotone.cli import app
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from make_images import write_cohort
from processes import COMMAND, left_by_runs, start

STOPPED_AT = """
import os, sys
from pathlib import Path
from isotone.cli import main
name, how = sys.argv.pop(1), int(sys.argv.pop(1))
replace = Path.replace
def stopped(self, target):
    if Path(target).name == name:
        os.kill(os.getpid(), how)
    return replace(self, target)
Path.replace = stopped
main()
"""
"""isotone, sent a signal when a file of this name is written but not yet in its place."""
RUNS = {
    "fit": ("config.json", "fit", "manifest.csv", "--reference", "ref", "--source", "src", "--workers", "1"),
    "evaluate": ("results.json", "evaluate", "manifest.csv", "--predictions", "scores.csv", "--reference", "ref"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort, scores of it, and a delivery."""
    made = tmp_path_factory.mktemp("made")
    cohort = write_cohort(made)
    table = pd.read_csv(cohort)
    bright = np.where(table["label"] == "bright", 0.7, 0.4) + 0.2 * np.random.default_rng(0).random(len(table))
    pd.DataFrame({"path": table["path"], "bright": bright, "dark": 1 - bright}).to_csv(made / "scores.csv", index=False)
    harmonizer = scanner_harmonizer("src")
    harmonizer.reference_domains = ("ref",)
    apply(harmonizer, Manifest.read(cohort), made / "delivered", workers=0, quiet=True)
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix != ".sqlite" and p.is_file()
    }


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, dict[str, bytes]]:
    """What uninterrupted runs write, in a folder of the name that the others have."""
    written = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (_, *command) in RUNS.items():
            out = folder / name / "out"
            finish([*command, "-o", out])
            written[name] = files(out)
    return written


@pytest.fixture(scope="module")
def restored(folder: Path) -> dict[str, bytes]:
    finish(["restore", folder / "delivered", "-o", folder / "restored"])
    return files(folder / "restored")


def finish(command: Iterable[object]) -> None:
    """Run a command to its end in this process: it starts sooner than another."""
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", sorted(RUNS))
def test_stopped_while_it_writes_a_command_leaves_no_half_and_the_same_one_finishes(
    folder: Path,
    whole: dict[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: signal.Signals,
) -> None:
    last, *command = RUNS[name]
    given = [*command, "-o", str(tmp_path / "out")]
    process = start([sys.executable, "-c", STOPPED_AT, last, int(how), *given], cwd=folder)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == (143 if how is signal.SIGTERM else -how), errors
    assert not (tmp_path / "out" / last).exists()
    if how is signal.SIGTERM:
        assert left_by_runs(tmp_path) in ([], [f"out/{MARKER}"])
    monkeypatch.chdir(folder)
    finish(given)
    assert files(tmp_path / "out") == whole[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RUNS))
def test_out_of_room_at_any_file_is_one_line_and_the_same_command_finishes(
    folder: Path, whole: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    command, flush = RUNS[name][1:], os.fsync
    for number in range(1 + len(whole[name])):  # the marker of the run, then its files
        given = [*command, "-o", str(tmp_path / str(number) / "out")]
        calls = itertools.count()

        def full(handle: int, number: int = number, calls: Iterator[int] = calls) -> None:
            if next(calls) == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            failed = CliRunner().invoke(app, given)
        assert failed.exit_code == 1, failed.output
        assert "[E_WRITE]" in failed.stderr.splitlines()[-1]
        assert left_by_runs(tmp_path / str(number)) in ([], [f"out/{MARKER}"])
        finish(given)
        assert files(tmp_path / str(number) / "out") == whole[name]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restore_stopped_after_its_first_file_finishes(
    folder: Path, restored: dict[str, bytes], tmp_path: Path, how: signal.Signals
) -> None:
    given = ["restore", folder / "delivered", "-o", tmp_path / "out"]
    process = start([*COMMAND, *given])
    while process.poll() is None and not [*tmp_path.glob("out/*/[!.]*.png")]:
        time.sleep(0.002)
    process.send_signal(how)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode in (0, 143 if how is signal.SIGTERM else -how), errors  # 0: it had just ended
    assert how is signal.SIGKILL or not left_by_runs(tmp_path)
    finish(given)
    assert files(tmp_path / "out") == restored
    assert not left_by_runs(tmp_path)
