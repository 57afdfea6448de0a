"""Which image goes to which file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from isotone.data.manifest import Manifest, Row
from isotone.errors import UsageError
from isotone.export.deliver import Job
from isotone.export.record import Deliver
from isotone.export.table import CURVES
from isotone.imaging.raster import SUFFIXES
from isotone.journal import JOURNAL


def plan(manifest: Manifest, output: Path, reference_domains: Collection[str], deliver: Deliver) -> list[Job]:
    """One job for each image, in the order of the manifest.

    The output mirrors the input tree from the deepest folder that holds every image and every folder that the user
    named (column `root`). Images that lie in the output folder are left out: they came from an earlier run.

    Raises
    ------
    UsageError
        No image lies outside the output folder, or the images have no folder in common.
    """
    rows = _outside(manifest, output)
    if not rows:
        raise UsageError(
            "every image lies in the output folder", file=output, next_step="Name an output folder of its own."
        )
    folders = {os.path.dirname(path) for _, path in rows}
    if "root" in manifest.table:
        folders |= {os.path.abspath(root) for root in manifest.table["root"].unique()}
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # drives of Windows
        raise UsageError("the images have no folder in common", next_step="Apply to one drive at a time.") from None
    taken = {JOURNAL, CURVES}
    jobs = []
    for row, path in rows:
        relative = Path(os.path.relpath(path, common))
        if deliver == "pixels" and relative.suffix.lower() in SUFFIXES and row.domain not in reference_domains:
            target = str(relative.with_suffix(".png"))
        else:
            target = str(relative)
        while target in taken:  # a.jpg beside a.png
            target += relative.suffix if relative.suffix.lower() not in SUFFIXES else ".png"
        taken.add(target)
        jobs.append(Job(row.path, row.domain, target, _key(path, target, row), row.inverted))
    return jobs


def digest_of(manifest: Manifest, output: Path) -> str:
    """SHA-256 of which images there are, and what the user says of them: what a journal calls the inputs of a run.

    What the images themselves say is no part of it, so that a run goes on when a broken or missing one is mended.
    """
    names = "\n".join(f"{path}|{row.stated}|{row.inverted}" for row, path in _outside(manifest, output))
    return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()


def _outside(manifest: Manifest, output: Path) -> list[tuple[Row, str]]:
    """The images, with their absolute paths, that do not lie in the output folder."""
    here = os.path.abspath(output)
    rows = [(row, os.path.abspath(row.path)) for row in manifest]
    return [(row, path) for row, path in rows if not Path(path).is_relative_to(here)]


def _key(path: str, target: str, row: Row) -> str:
    """A file that is changed, or that goes elsewhere, is another piece of work."""
    try:
        status = os.stat(path)
        version = f"{status.st_size}|{status.st_mtime_ns}"
    except OSError:
        version = "gone"
    name = f"{path}|{version}|{target}|{row.domain}|{row.inverted}".encode(errors="surrogateescape")
    return hashlib.sha256(name).hexdigest()[:32]
