"""``paths.csv``: which image of the report and of ``scores.csv`` lies where. For the house alone: it names files."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from isotone._runtime.files import replace_file
from isotone.safe_text import inert

PATHS = "paths.csv"


def write_paths(folder: Path, images: Iterable[tuple[str, str | Path]] | None) -> None:
    """Write a line for each image: its name in the report, and its file.

    Parameters
    ----------
    folder : path
        Of the report, in which no path stands.
    images : iterable of (str, path), or None
        None: the table of an earlier run is removed, since it is of other results.
    """
    if images is None:
        (folder / PATHS).unlink(missing_ok=True)
        return
    with replace_file(folder / PATHS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "path"))
        writer.writerows((name, inert(path)) for name, path in images)
