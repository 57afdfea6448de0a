"""An interrupted training goes on to the same bits, from files that nobody has to trust."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from torch import nn
from typer.testing import CliRunner, Result

from isotone._runtime.files import MARKER
from isotone._runtime.run_options import RunOptions
from isotone.cli import app
from isotone.errors import IsotoneError
from isotone.networks.training import checkpoint as module
from isotone.networks.training.checkpoint import Checkpoint, fingerprint
from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
from isotone.networks.training.loop import Row, Schedule, run_epochs
from isotone.networks.training.precision import Steps
from isotone.networks.training.run_files import RunFiles
from isotone.networks.training.task import Labelled
from isotone.networks.training.train import TrainSettings, fit_classifier
from make_images import write_cohort
from processes import COMMAND, start
from samples import SIDE, draw_samples

SETTINGS = TrainSettings.small(image_size=SIDE, epochs=6, batch_size=16, reduce_after=2, stop_after=4)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@contextmanager
def ctrl_c_at(monkeypatch: pytest.MonkeyPatch, number: int, *, written: bool = True) -> Iterator[None]:
    """Within, Ctrl-C is pressed as the checkpoint of the given number was written, or is about to be."""
    left, save = number, Checkpoint.save

    def press(checkpoint: Checkpoint, rows: list[Row], best: dict[str, torch.Tensor]) -> None:
        nonlocal left
        left -= 1
        if left or written:
            save(checkpoint, rows, best)
        if not left:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", press)
        yield


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_classifier_interrupted_after_any_epoch_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, written: bool
) -> None:
    """The learning rate has fallen, dropout and mirroring have drawn, and the best epoch may lie before."""
    train, val = draw_samples(40), draw_samples(20, seed=1)
    whole = fit_classifier(train, val, SETTINGS, quiet=True)
    files = RunFiles(tmp_path)
    with ctrl_c_at(monkeypatch, epoch, written=written), pytest.raises(KeyboardInterrupt):
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    resumed = fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    assert same(whole.module, resumed.module)
    assert whole.config == resumed.config


SCORES = [0.2, 0.6, 0.6, 0.5, 0.6, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]


def planned(files: RunFiles) -> tuple[nn.Module, list[Row]]:
    """A run whose scores are known beforehand: its rate falls again and again, and it stops before the last epoch."""
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)

    def train(rng: np.random.Generator) -> Row:
        optimizer.zero_grad()
        loss = net(torch.from_numpy(rng.random((4, 3), np.float32))).square().mean()
        loss.backward()
        optimizer.step()
        return {"loss": loss.item()}

    done = len(json.loads(notes_of(files))["rows"]) if files.checkpoint and files.checkpoint.exists() else 0
    scores = iter(SCORES[done:])
    rows = run_epochs(
        net,
        Steps(optimizer, torch.device("cpu")),
        Schedule(len(SCORES), reduce_after=1, stop_after=5),
        train,
        lambda: {"worst_group_accuracy": next(scores), "val_loss": 0.0},
        run=RunOptions(quiet=True),
        label="testing",
        files=replace(files, identity="planned"),
    )
    return net, rows


def notes_of(files: RunFiles) -> str:
    with safetensors.safe_open(files.checkpoint, framework="pt") as file:
        return file.metadata()["run"]


@pytest.mark.parametrize("number", range(1, 12))
def test_the_schedule_goes_on_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    whole, rows = planned(RunFiles())
    assert len(rows) == 11
    assert rows[-1]["learning_rate"] == pytest.approx(0.1 * 10**-7)
    with ctrl_c_at(monkeypatch, number), pytest.raises(KeyboardInterrupt):
        planned(RunFiles(tmp_path))
    resumed, again = planned(RunFiles(tmp_path))
    assert again == rows
    assert same(whole, resumed)


def test_a_run_that_goes_on_repeats_no_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val, files = draw_samples(40), draw_samples(20, seed=1), RunFiles(tmp_path)
    with ctrl_c_at(monkeypatch, 2), pytest.raises(KeyboardInterrupt):
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    saved = []
    with monkeypatch.context() as patch:
        save = Checkpoint.save
        patch.setattr(Checkpoint, "save", lambda c, rows, best: (saved.append(len(rows)), save(c, rows, best)))
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    assert saved[0] == 3
    saved.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", lambda c, rows, best: saved.append(len(rows)))
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    assert not saved


@pytest.mark.slow
@pytest.mark.parametrize("reshuffle", [False, True])
def test_the_papers_network_interrupted_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reshuffle: bool
) -> None:
    quick = TrainSettings.small(image_size=SIDE, epochs=3, batch_size=16)
    classifier = fit_classifier(draw_samples(40), draw_samples(20, seed=1), quick, quiet=True)
    settings = GDCESettings.quick(num_layers=2, input_size=16, epochs=4, reshuffle=reshuffle)
    data = draw_samples(24, gamma=2.5, seed=3), draw_samples(24, seed=5), draw_samples(12, gamma=2.5, seed=4)
    whole, rows = fit_gdce(*data, classifier, settings, quiet=True)
    files = RunFiles(tmp_path)
    with ctrl_c_at(monkeypatch, 2), pytest.raises(KeyboardInterrupt):
        fit_gdce(*data, classifier, settings, quiet=True, files=files)
    resumed, again = fit_gdce(*data, classifier, settings, quiet=True, files=files)
    assert same(whole, resumed)
    assert rows == again


@pytest.mark.parametrize("change", ["seed", "settings", "image", "label"])
def test_a_checkpoint_of_another_run_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    train, val, files = draw_samples(40), draw_samples(20, seed=1), RunFiles(tmp_path)
    with ctrl_c_at(monkeypatch, 2), pytest.raises(KeyboardInterrupt):
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    seed, settings = int(change == "seed"), SETTINGS
    if change == "settings":
        settings = SETTINGS.model_copy(update={"learning_rate": 1e-3})
    if change == "image":
        train[7] = draw_samples(8, seed=9)[7]
    if change == "label":
        train = [*train[2:], train[1], train[0]]
    with pytest.warns(UserWarning, match="starts anew"):
        resumed = fit_classifier(train, val, settings, seed=seed, quiet=True, files=files)
    assert same(resumed.module, fit_classifier(train, val, settings, seed=seed, quiet=True).module)


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "without-notes"])
def test_a_damaged_checkpoint_starts_the_run_anew(tmp_path: Path, damage: str) -> None:
    train, val, files = draw_samples(40), draw_samples(20, seed=1), RunFiles(tmp_path)
    whole = fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    path = files.checkpoint
    assert path is not None
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:5000])
        case "empty":
            path.write_bytes(b"")
        case "foreign":
            torch.save({"a": torch.zeros(2)}, path)
        case _:
            path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.warns(UserWarning, match="starts anew"):
        assert same(fit_classifier(train, val, SETTINGS, quiet=True, files=files).module, whole.module)


def test_a_checkpoint_is_safetensors_with_json_and_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val, files = draw_samples(40), draw_samples(20, seed=1), RunFiles(tmp_path)
    with monkeypatch.context() as patch:
        kept = []
        replaced = module.replace_file
        patch.setattr(module, "replace_file", lambda path: (kept.append(path), replaced(path))[1])
        fit_classifier(train, val, SETTINGS, quiet=True, files=files)
    assert set(kept) == {files.checkpoint}
    notes = json.loads(notes_of(files))
    with safetensors.safe_open(files.checkpoint, framework="pt") as file:
        assert {name.partition("/")[0].partition(" ")[0] for name in file.keys()} == {"module", "best", "optimizer"}  # noqa: SIM118
    assert [row["epoch"] for row in notes["rows"]] == list(range(len(notes["rows"])))


def test_the_loss_scale_of_float16_belongs_to_the_state(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    Checkpoint(tmp_path / "c", "x", net, optimizer, scaler).save([], {})
    fresh = torch.amp.GradScaler("cpu")
    Checkpoint(tmp_path / "c", "x", net, optimizer, fresh).load()
    assert fresh.get_scale() == 2.0**20


def test_the_fingerprint_tells_networks_images_labels_and_settings_apart() -> None:
    torch.manual_seed(0)
    net, samples = nn.Linear(2, 2), draw_samples(4)
    labelled = Labelled.of(samples, ("bright", "dim"), "")
    turned = Labelled.of(samples[::-1], ("bright", "dim"), "")
    parts = [(net,), (nn.Linear(2, 2),), (labelled,), (turned,), (SETTINGS,), (3,), ("ä\udcff",)]
    assert len({fingerprint(*p) for p in parts}) == len(parts)
    assert fingerprint(net, labelled, SETTINGS, 0) == fingerprint(net, labelled, SETTINGS, 0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"), responses={"ref": 1.0, "src": 2.0, "third": 0.5})


TRAIN = ("--reference", "ref", "--backbone", "small", "--image-size", 32, "--workers", 1, "--quiet")


@pytest.fixture(scope="module")
def classifier(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "classifier"
    result = run("train", cohort, *TRAIN, "--epochs", 6, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Contents by name; the record of training images apart, whose key is another in every run."""
    found = [p for p in folder.rglob("*") if p.is_file() and p.name != "trained_on.json"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


@pytest.mark.slow
def test_fit_with_two_sources_goes_on_in_the_second_and_writes_the_same_files(
    cohort: Path, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = ("fit", cohort, "--reference", "ref", "--source", "src", "--source", "third", "--classifier", classifier)
    fit += ("--method", "gdce", "--perceptual", "classifier", "--workers", "1", "--quiet")
    fit += ("--set", "epochs=3", "--set", "num_layers=2", "--set", "input_size=16", "--set", "batch_size=4")
    assert run(*fit, "-o", tmp_path / "whole").exit_code == 0
    with ctrl_c_at(monkeypatch, 5):  # three epochs of the first, two of the second
        stopped = run(*fit, "-o", tmp_path / "resumed")
    assert stopped.exit_code == 130
    assert not (tmp_path / "resumed" / "config.json").exists()
    assert run(*fit, "--seed", 1, "-o", tmp_path / "resumed").exit_code == 2  # another run
    assert run(*fit, "-o", tmp_path / "resumed").exit_code == 0
    names = {"config.json", "network-0.safetensors", "network-1.safetensors", "log-0.csv", "log-1.csv"}
    assert files_of(tmp_path / "resumed").keys() == names
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "whole")


EPOCHS = 40
LONG = (*TRAIN, "--epochs", EPOCHS, "--set", f"stop_after={EPOCHS}", "-o")
"""Enough for a signal to arrive before the last epoch."""


@pytest.fixture(scope="module")
def uninterrupted(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("models") / "whole"
    subprocess.run([*COMMAND, *map(str, ("train", cohort, *LONG, folder))], check=True, capture_output=True)
    return files_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_train_stopped_from_outside_goes_on_and_writes_the_same_files(
    cohort: Path, uninterrupted: dict[str, bytes], tmp_path: Path, how: signal.Signals
) -> None:
    train = [*COMMAND, *map(str, ("train", cohort, *LONG, tmp_path / "resumed"))]
    process = start(train)
    log = tmp_path / "resumed" / "log.csv"
    while process.poll() is None and not (log.exists() and len(log.read_bytes().splitlines()) > 4):
        time.sleep(0.01)
    os.killpg(process.pid, how)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == (-how if how is signal.SIGKILL else 128 + how), errors
    assert not (tmp_path / "resumed" / "config.json").exists()
    assert 4 < len(log.read_bytes().splitlines()) < EPOCHS
    done = subprocess.run(train, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "anew" not in done.stderr
    assert files_of(tmp_path / "resumed") == uninterrupted
    assert uninterrupted.keys() == {"config.json", "model.safetensors", "log.csv"}


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (None, False),
        (KeyboardInterrupt(), True),
        (IsotoneError("E_WRITE", "full"), True),
        (IsotoneError("E_DATA", "nothing to learn"), False),
    ],
)
def test_the_state_is_kept_where_the_same_run_can_go_on(
    tmp_path: Path, error: BaseException | None, kept: bool
) -> None:
    files = RunFiles(tmp_path)
    assert files.checkpoint is not None
    assert files.images is not None
    files.images.mkdir()
    for path in (files.images / "a", files.checkpoint, tmp_path / MARKER, tmp_path / "log.csv"):
        path.write_text("")
    with suppress(KeyboardInterrupt, IsotoneError), files.until_saved():
        if error is not None:
            raise error
    assert files.checkpoint.exists() == files.images.exists() == kept
    assert (tmp_path / MARKER).exists()
    assert (tmp_path / "log.csv").exists()


def test_what_cannot_be_trained_leaves_no_file(cohort: Path, tmp_path: Path) -> None:
    """Images were decoded and kept before the loss went wrong."""
    result = run("train", cohort, *TRAIN, "--epochs", 2, "--set", "learning_rate=1e30", "-o", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert "not finite" in result.stderr
    assert not (tmp_path / "out").exists()
