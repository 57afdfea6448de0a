"""The numbers of every epoch: a CSV file, and TensorBoard for those who like it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from isotone._runtime.files import write_text
from isotone.networks.training.run_files import RunFiles, summary_writer


@contextmanager
def open_log(files: RunFiles, start: int) -> Iterator[Callable[[Sequence[dict[str, float]]], None]]:
    """Give a function that takes all rows so far, after each epoch and once more at the end.

    ``log<name>.csv`` is written anew each time, whole: a line per epoch, a column per number. TensorBoard gets the
    rows from `start` on, and forgets what an interrupted run told it beyond that.

    Parameters
    ----------
    files : RunFiles
        Without a folder nothing is written.
    start : int
        Epochs that are logged already.
    """
    if files.folder is None:
        yield lambda rows: None
        return
    table = files.folder / f"log{files.name}.csv"
    board = None
    if files.tensorboard:
        board = summary_writer()(files.folder / "tensorboard" / f"log{files.name}", purge_step=start)
    told = start

    def write(rows: Sequence[dict[str, float]]) -> None:
        nonlocal told
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(table, text.getvalue())
        if board is not None:
            _tell(board, rows[told:])
        told = len(rows)

    try:
        yield write
    finally:
        if board is not None:
            board.close()


def _tell(board: Any, rows: Sequence[dict[str, float]]) -> None:
    for row in rows:
        for name, value in row.items():
            if name != "epoch":
                board.add_scalar(name, value, int(row["epoch"]))
