"""What a run of training leaves on disk: decoded images and a checkpoint while it lasts, a log for good."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from isotone._runtime.files import TEMPORARY
from isotone.errors import IsotoneError, UsageError, installing

IMAGES, CHECKPOINT = f"{TEMPORARY}images", f"{TEMPORARY}checkpoint"


@dataclass(frozen=True)
class RunFiles:
    """Where a run keeps what it needs to go on after an interruption, and its log.

    Parameters
    ----------
    folder : Path or None
        The run's output folder; None: nothing is written.
    name : str
        Tells the networks of one run apart: ``log<name>.csv``.
    tensorboard : bool
        Whether the log is also written for TensorBoard, into ``tensorboard/`` of the folder.
    identity : str
        `checkpoint.fingerprint` of what the run depends on; a checkpoint of another run is not taken up.

    Raises
    ------
    UsageError
        TensorBoard without a folder.
    IsotoneError
        E_EXTRA: TensorBoard is not installed.
    """

    folder: Path | None = None
    name: str = ""
    tensorboard: bool = False
    identity: str = ""

    def __post_init__(self) -> None:
        if self.tensorboard:  # refused here, before the first image is read
            summary_writer()
            if self.folder is None:
                raise UsageError("TensorBoard needs a folder to write to")

    def of(self, name: str) -> Self:
        """The files of one network of the run."""
        return replace(self, name=f"-{name}")

    @property
    def images(self) -> Path | None:
        """Folder of the decoded images (`load_samples`)."""
        return None if self.folder is None else self.folder / IMAGES

    @property
    def checkpoint(self) -> Path | None:
        """File of the run's state after its last epoch."""
        return None if self.folder is None else self.folder / f"{CHECKPOINT}{self.name}.safetensors"

    @contextmanager
    def until_saved(self) -> Iterator[None]:
        """Within: train and save. Images and checkpoint stay if that is interrupted, or the disk is full."""
        try:
            yield
        except IsotoneError as error:
            if error.code != "E_WRITE":  # the same run would fail again
                self._clear()
            raise
        self._clear()

    def _clear(self) -> None:
        if self.folder is None:
            return
        shutil.rmtree(self.folder / IMAGES, ignore_errors=True)
        for path in self.folder.glob(f"{CHECKPOINT}*.safetensors"):
            with suppress(OSError):
                path.unlink()


NO_FILES = RunFiles()


def summary_writer() -> Any:
    """TensorBoard's writer class.

    Raises
    ------
    IsotoneError
        E_EXTRA: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise IsotoneError("E_EXTRA", "TensorBoard is not installed", next_step=installing("tensorboard")) from None
    return SummaryWriter
