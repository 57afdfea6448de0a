"""Stopped by a signal, every command ends in one line and its own exit code, and leaves no temporary file."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isotone.cli import app
from make_images import write_cohort
from processes import COMMAND, left_by_runs, start, wait_for_workers

FIT = ("--reference", "ref", "--source", "src")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort, a classifier, a curve and a delivery."""
    pytest.importorskip("torch")
    made = tmp_path_factory.mktemp("made")
    cohort = write_cohort(made)
    train = ("--backbone", "small", "--image-size", 32, "--epochs", 1, "--quiet")
    for command in (
        ("train", cohort, "--reference", "ref", *train, "-o", made / "classifier"),
        ("fit", cohort, *FIT, "-o", made / "curve"),
        ("apply", made / "curve", cohort, "-o", made / "delivered", "--quiet"),
    ):
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exit_code == 0, done.output
    return made


ARGUMENTS = {
    "inspect": ("inspect", "manifest.csv"),
    "check": ("check", "curve", "manifest.csv", "--workers", 1),
    "apply": ("apply", "curve", "manifest.csv", "-o", "OUT", "--workers", 1),
    "restore": ("restore", "delivered", "-o", "OUT"),
    # The fit of the fixture may be in the cache, and then no worker starts.
    "fit": ("fit", "manifest.csv", *FIT, "-o", "OUT", "--workers", 1, "--no-cache"),
    "evaluate": ("evaluate", "manifest.csv", "--classifier", "classifier", "-o", "OUT", "--workers", 1),
    "train": ("train", "manifest.csv", "--reference", "ref", "--backbone", "small", "--workers", 1, "-o", "OUT"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_sigterm_ends_a_command_as_ctrl_c_does(folder: Path, tmp_path: Path, name: str) -> None:
    """As systemd and Kubernetes stop it: the process alone."""
    arguments = [str(tmp_path / "out") if a == "OUT" else a for a in ARGUMENTS[name]]
    process = start([*COMMAND, *arguments], cwd=folder)
    wait_for_workers(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    again = "begins anew" if name in ("inspect", "check", "evaluate") else "goes on from here"
    assert errors.splitlines() == [f"isotone: interrupted; the same command {again}"]
    if (tmp_path / "out").exists():
        assert set(left_by_runs(tmp_path / "out")) <= {".isotone-run"}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_has_its_exit_code(folder: Path, number: signal.Signals, code: int) -> None:
    process = start([*COMMAND, "check", "curve", "manifest.csv"], cwd=folder)
    wait_for_workers(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, len(errors.splitlines())) == (code, 1), errors


@pytest.mark.slow
def test_in_the_background_of_a_script_a_command_ends_on_sigterm(folder: Path) -> None:
    """There SIGINT is ignored, and stays so."""
    command = " ".join([f"'{COMMAND[0]}' -c '{COMMAND[2]}'", "check curve manifest.csv --workers 1"])
    process = start(["sh", "-c", f"trap '' INT HUP; exec {command}"], cwd=folder)
    wait_for_workers(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
