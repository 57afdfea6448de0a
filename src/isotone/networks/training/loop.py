"""Epochs, and which of them is kept.

Every epoch draws its random numbers from (seed, epoch) alone, and the schedule follows from the rows written
so far: weights, optimizer and rows are the whole state of a run, which `Checkpoint` keeps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from isotone._runtime.run_options import RunOptions
from isotone.data.images import progress
from isotone.errors import IsotoneError
from isotone.networks.training.checkpoint import Checkpoint, Weights
from isotone.networks.training.log import open_log
from isotone.networks.training.precision import Steps
from isotone.networks.training.run_files import NO_FILES, RunFiles
from isotone.networks.training.score import WORST_GROUP, Criterion

Row = dict[str, float]


@dataclass(frozen=True)
class Schedule:
    """When a run slows down and when it ends.

    Attributes
    ----------
    epochs : int
        At most.
    reduce_after, stop_after : int or None
        Epochs without a better value of the criterion after which the learning rate is divided by 10, and after which
        training stops; None: never.
    criterion : Criterion
        What must become better; the epoch that is best by it is kept.
    of_equals : {"lower loss", "later"}
        Which one of several best epochs is kept: that with the lowest cross-entropy on validation images (of equal
        ones the earliest), or the latest.
    """

    epochs: int
    reduce_after: int | None = None
    stop_after: int | None = None
    criterion: Criterion = WORST_GROUP
    of_equals: Literal["lower loss", "later"] = "lower loss"

    def rank(self, row: Row) -> tuple[float, float]:
        """What is compared to choose an epoch."""
        return self.criterion(row), row["epoch"] if self.of_equals == "later" else -row["val_loss"]


def run_epochs(
    module: nn.Module,
    steps: Steps,
    schedule: Schedule,
    train: Callable[[np.random.Generator], Row],
    validate: Callable[[], Row],
    *,
    run: RunOptions,
    label: str,
    files: RunFiles = NO_FILES,
) -> list[Row]:
    """Train, and leave `module` with the weights of the epoch that ranks highest.

    Parameters
    ----------
    module : nn.Module
    steps : Steps
        Of an optimizer of its weights.
    schedule : Schedule
    train : callable
        One epoch, `module` being in training mode; random choices by the generator given. Returns numbers to
        log.
    validate : callable
        `module` being in evaluation mode and without gradients; returns numbers to log, among them
        ``val_loss`` and what the schedule's criterion asks for.
    run : RunOptions
        Its seed, and whether there is a progress bar.
    label : str
        For the progress bar.
    files : RunFiles
        Where the log is written, and the checkpoint from which an interrupted run goes on.

    Returns
    -------
    list of dict
        For each epoch: ``epoch``, ``learning_rate``, what `train` and `validate` returned, and ``kept`` (1
        for the epoch whose weights `module` has now).

    Raises
    ------
    IsotoneError
        E_DATA: the loss is not finite.
    """
    checkpoint = Checkpoint(files.checkpoint, files.identity, module, steps.optimizer, steps.scaler)
    rows, best = checkpoint.load()
    with open_log(files, len(rows)) as log:
        todo = range(len(rows), schedule.epochs)
        for epoch in progress(todo, len(todo), label=label, quiet=run.quiet):
            if schedule.stop_after and rows and epochs_without_better(rows, schedule.criterion) >= schedule.stop_after:
                break
            row: Row = {"epoch": epoch, "learning_rate": steps.optimizer.param_groups[0]["lr"]}
            rows.append(row | _one_epoch(module, train, validate, run.seed, epoch))
            best = _after(rows, best, module, steps.optimizer, schedule)
            checkpoint.save(rows, best)
            log(rows)
        module.load_state_dict(best)
        for row in rows:
            row["kept"] = 0.0
        max(rows, key=schedule.rank)["kept"] = 1.0
        log(rows)
    return rows


def _one_epoch(
    module: nn.Module,
    train: Callable[[np.random.Generator], Row],
    validate: Callable[[], Row],
    seed: int,
    epoch: int,
) -> Row:
    with seeded(seed, epoch + 1) as rng:
        module.train()
        row = train(rng)
        module.eval()
        with torch.no_grad():
            row |= validate()
    if not all(np.isfinite(value) for value in row.values()):
        raise IsotoneError("E_DATA", f"the loss is not finite in epoch {epoch}", next_step="Lower the learning rate.")
    return row


def _after(
    rows: list[Row],
    best: Weights,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
) -> Weights:
    """Slow down where it is time, and return the weights of the best epoch so far."""
    waited = epochs_without_better(rows, schedule.criterion)
    if waited and schedule.reduce_after and waited % schedule.reduce_after == 0:
        for group in optimizer.param_groups:
            group["lr"] /= 10
    better = all(schedule.rank(rows[-1]) > schedule.rank(row) for row in rows[:-1])
    return copy.deepcopy(module.state_dict()) if better else best


def epochs_without_better(rows: list[Row], criterion: Criterion) -> int:
    """Epochs since the criterion was last better than ever before, by more than its margin."""
    best, since = criterion(rows[0]), 0
    for score in map(criterion, rows[1:]):
        better = score > best + criterion.margin
        best, since = (score, 0) if better else (best, since + 1)
    return since


@contextmanager
def seeded(seed: int, step: int) -> Iterator[np.random.Generator]:
    """Random numbers of one step of a run: 0 is the start of the weights, 1 the first epoch.

    Torch's own state (start, dropout) is set for it and put back afterwards.
    """
    rng = np.random.default_rng([seed, step])
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**62)))
        yield rng
