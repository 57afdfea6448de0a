"""The log of a training: a line per epoch in log.csv, and TensorBoard where it is installed and asked for."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from isotone.cli import app
from isotone.errors import UsageError
from isotone.networks.training.log import open_log
from isotone.networks.training.run_files import RunFiles
from isotone.networks.training.train import TrainSettings, fit_classifier
from make_images import write_cohort
from samples import SIDE, draw_samples

SETTINGS = TrainSettings.small(image_size=SIDE, epochs=3, batch_size=16)


class Board:
    """Stands for TensorBoard's SummaryWriter."""

    made: list["Board"] = []  # noqa: RUF012

    def __init__(self, folder: Path, purge_step: int) -> None:
        self.folder, self.purge_step, self.told, self.closed = folder, purge_step, [], False
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Board))
    monkeypatch.setattr(Board, "made", [])
    return Board.made


def test_every_epoch_is_a_line_and_the_kept_one_is_marked(tmp_path: Path) -> None:
    trained = fit_classifier(draw_samples(40), draw_samples(20, seed=1), SETTINGS, quiet=True, files=RunFiles(tmp_path))
    table = pd.read_csv(tmp_path / "log.csv")
    assert list(table) == ["epoch", "learning_rate", "train_loss", "worst_group_accuracy", "val_loss", "kept"]
    assert list(table["epoch"]) == [0, 1, 2]
    assert list(table.loc[table["kept"] == 1, "epoch"]) == [trained.config.training["epoch_kept"]]


def test_the_log_grows_while_the_run_lasts(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    with open_log(RunFiles(tmp_path).of("0"), 0) as log:
        for epoch in range(3):
            rows.append({"epoch": epoch, "loss": 0.1 + epoch})
            log(rows)
            assert pd.read_csv(tmp_path / "log-0.csv").to_dict("records") == rows


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit_classifier(draw_samples(40), draw_samples(20, seed=1), SETTINGS, quiet=True)
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_each_epochs_numbers_once_also_after_an_interruption(
    tmp_path: Path, boards: list[Board]
) -> None:
    rows = [{"epoch": epoch, "loss": 1.0 / (epoch + 1)} for epoch in range(3)]
    files = RunFiles(tmp_path, tensorboard=True)
    with open_log(files, 0) as log:
        log(rows[:1])
        log(rows[:2])
    with open_log(files, 2) as log:
        log(rows)
        log([row | {"kept": 0} for row in rows])
    assert [board.told for board in boards] == [[("loss", 1.0, 0), ("loss", 0.5, 1)], [("loss", 1 / 3, 2)]]
    assert [board.purge_step for board in boards] == [0, 2]
    assert all(board.closed and board.folder == tmp_path / "tensorboard" / "log" for board in boards)


def test_without_tensorboard_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first image is read."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    arguments: list[Any] = ["train", write_cohort(tmp_path), "--reference", "ref", "--backbone", "small"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--tensorboard", "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert "E_EXTRA" in line
    assert "[tensorboard]" in line
    assert not (tmp_path / "out").exists()


def test_tensorboard_needs_a_folder(boards: list[Board]) -> None:
    with pytest.raises(UsageError, match="folder"):
        RunFiles(tensorboard=True)
