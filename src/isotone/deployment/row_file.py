"""One array of many resized images, and an index of its rows: a file that a loader maps, however many images it has.

While a run goes on the array has another name; under its own it is whole. Rows that the index does not list hold
nothing.
"""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from io import BufferedRandom, BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from isotone._runtime.files import TEMPORARY, replace_file
from isotone.deployment.curves_table import rows_of
from isotone.deployment.deliver import Job, Outcome, safe_target
from isotone.deployment.resized import Resized
from isotone.errors import IsotoneError, RadiographError, UsageError
from isotone.safe_text import inert

ARRAY, INDEX = "images.npy", "index.csv"
UNFINISHED = f"{TEMPORARY}{ARRAY}"
"""Name of the array while a run goes on, and after one that was stopped."""
TYPE = np.dtype("<u2")


class RowFile:
    """The array of an output folder, 16 bits, of shape (rows, size, size).

    Parameters
    ----------
    output : Path
    size : int
        Side of its images in pixels.

    Raises
    ------
    UsageError
        A file of that name is none of isotone's, or has images of another size.
    """

    def __init__(self, output: Path, size: int) -> None:
        self._output, self._size = output, size
        self._row = size * size * TYPE.itemsize
        self._path, self._part = safe_target(output, ARRAY), safe_target(output, UNFINISHED)
        found = next((path for path in (self._part, self._path) if path.exists()), None)
        self._start = len(self._header(0))
        if found is not None and found.stat().st_size and not self._is_ours(found):
            raise UsageError(
                "this is no array of isotone, or has another size",
                file=found,
                next_step="Move it, or use another output=.",
            )
        self._rows = 0 if found is None else max(found.stat().st_size - self._start, 0) // self._row

    def has(self, target: str | None) -> bool:
        """Whether a row of the array has been written."""
        return target is not None and 0 <= _row_in(target) < self._rows

    def put(self, job: Job, result: Outcome | Resized, before: str | None) -> str | None:
        """Write the row of an image, the one that it has (`before`), or a new one at the end.

        Raises
        ------
        IsotoneError
            E_WRITE, E_WRITTEN.
        """
        if not isinstance(result, Resized):
            return None
        row = _row_in(before or "")
        row = row if 0 <= row < self._rows else self._rows
        self._write(row, result.pixels)
        self._rows = max(self._rows, row + 1)
        return f"{ARRAY}#{row}"

    def drop(self, target: str | None) -> None:
        """Blank the row of an image that is refused by now."""
        if target is not None and self.has(target):
            self._write(_row_in(target), np.zeros((self._size, self._size), TYPE))

    def finish(self) -> None:
        """Give the array its name, and write the index, which then lists every row with an image.

        Raises
        ------
        IsotoneError
            E_WRITE.
        """
        index = safe_target(self._output, INDEX)
        with replace_file(index) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "file", "status"])
            for line in rows_of(self._output):
                if (row := _row_in(line["output"])) >= 0:
                    writer.writerow([row, inert(line["file"]), line["status"]])
        if self._part.exists() or not self._path.exists():
            try:
                with self._opened() as file:
                    os.ftruncate(file.fileno(), self._start + self._rows * self._row)
                    file.write(self._header(self._rows))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(self._part, self._path)
            except OSError as error:
                raise self._refusal(error) from error

    def _write(self, row: int, pixels: NDArray[np.uint16]) -> None:
        data = np.ascontiguousarray(pixels, TYPE).tobytes()
        try:
            with self._opened() as file:
                at = self._start + row * self._row
                file.seek(at)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                file.seek(at)
                if file.read(len(data)) != data:
                    raise RadiographError("E_WRITTEN", "what was written does not read back as it was meant")
        except OSError as error:
            raise self._refusal(error) from error

    def _opened(self) -> BufferedRandom:
        if not self._part.exists():
            self._output.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                os.replace(self._path, self._part)
            else:
                self._part.write_bytes(self._header(0))
        return self._part.open("rb+")

    def _header(self, rows: int) -> bytes:
        """NumPy leaves room in it for any number of rows, so that its length stays."""
        stream = BytesIO()
        described = {"descr": TYPE.str, "fortran_order": False, "shape": (rows, self._size, self._size)}
        npy.write_array_header_1_0(stream, described)
        return stream.getvalue()

    def _is_ours(self, path: Path) -> bool:
        with suppress(ValueError), path.open("rb") as file:
            if npy.read_magic(file) == (1, 0):
                shape, order, kind = npy.read_array_header_1_0(file)
                return shape[1:] == (self._size, self._size) and not order and kind == TYPE
        return False

    def _refusal(self, error: OSError) -> IsotoneError:
        return IsotoneError("E_WRITE", f"cannot write: {error.strerror or type(error).__name__}", file=self._path)


def _row_in(target: str) -> int:
    """The number of the row that an output names; -1: it names none."""
    name, _, number = target.partition("#")
    return int(number) if name == ARRAY and number.isdecimal() else -1
