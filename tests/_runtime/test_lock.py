"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harmonizers import scanner_harmonizer
from isotone._runtime.lock import LOCK, locked
from isotone.cli import app
from isotone.errors import IsotoneError, UsageError
from make_images import write_cohort
from processes import start

HOLDER = "import sys, time; from pathlib import Path; from isotone._runtime.lock import locked\n"
HOLDER += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"


def test_the_second_is_refused_and_the_folder_free_again_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(UsageError, match="another run is writing"), locked(tmp_path):
            raise AssertionError
        assert (tmp_path / LOCK).exists()
    assert not [*tmp_path.iterdir()]
    with locked(tmp_path):
        pass


def test_a_kill_releases_it(tmp_path: Path) -> None:
    holder = start([sys.executable, "-c", HOLDER, tmp_path])
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match="another run is writing"), locked(tmp_path):
        raise AssertionError
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass


def test_somebodys_file_under_its_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("notes")
    with pytest.raises(UsageError, match="somebody's file"), locked(tmp_path):
        raise AssertionError
    assert (tmp_path / LOCK).read_text() == "notes"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fcntl = pytest.importorskip("fcntl")

    def unable(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unable)
    with pytest.warns(UserWarning, match="W_NO_LOCK"), locked(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_what_stands_in_its_place_is_left(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(IsotoneError) as refusal, locked(tmp_path):
        raise AssertionError
    assert refusal.value.code == "E_WRITE"
    (tmp_path / LOCK).rmdir()
    (tmp_path / "mine").write_text("precious")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="a link stands"), locked(tmp_path):
        raise AssertionError
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made")
    write_cohort(made)
    scanner_harmonizer("src").save(made / "curve")
    (made / "scores.csv").write_text("path,bright,dark\n")
    (made / "nih.csv").write_text("")
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "curve", "manifest.csv"),
        ("restore", "manifest.csv"),
        ("fit", "manifest.csv", "--reference", "ref", "--source", "src"),
        ("train", "manifest.csv", "--reference", "ref", "--backbone", "small"),
        ("evaluate", "manifest.csv", "--predictions", "scores.csv", "--reference", "ref"),
        ("demo",),
        ("cohort", "phantom"),
        ("reproduce", "phantom", "--quick"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.parametrize("force", [False, True])
def test_every_command_that_writes_a_folder_is_refused_while_another_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], force: bool
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(folder)
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        given = [*arguments, "-o", str(tmp_path / "out"), *(["--force"] if force else [])]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 2, result.output
        assert "another run is writing into this folder" in result.stderr.splitlines()[-1]
        assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]
