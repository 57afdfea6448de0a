"""Which image goes to which file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from isotone._runtime.disk_set import DiskSet
from isotone._runtime.files import TEMPORARY
from isotone._runtime.journal import NAMES, Entry, Journal
from isotone.data.manifests.manifest import Manifest, Row
from isotone.deployment.curves_table import CURVES
from isotone.deployment.deliver import Job
from isotone.deployment.job_table import JobTable
from isotone.deployment.record import Deliver
from isotone.deployment.shard import Shard
from isotone.errors import UsageError
from isotone.imaging.raster.read_raster import SUFFIXES


class Inputs:
    """The images to work on, none of which lies in the output folder; and which files on the disk these are.

    Parameters
    ----------
    manifest : Manifest
        Images that lie in `output`, under whatever name (links, mounts, letter case), are left out: they came from an
        earlier run.
    output : Path

    Raises
    ------
    UsageError
        No image lies outside the output folder, or the images have no folder in common.
    """

    def __init__(self, manifest: Manifest, output: Path) -> None:
        self._manifest, self._inside = manifest, _Inside(output)
        self.output = output
        folders = {os.path.dirname(os.path.abspath(path)) for path in manifest.columns["path"]}
        folders = {folder for folder in folders if folder not in self._inside}
        if not folders:
            raise UsageError(
                "every image lies in the output folder", file=output, next_step="Name an output folder of its own."
            )
        folders |= {os.path.abspath(root) for root in set(manifest.columns.get("root", ()))}
        try:
            self.common = os.path.commonpath(folders)
        except ValueError:  # drives of Windows
            raise UsageError("the images have no folder in common", next_step="Apply to one drive at a time.") from None

    def __iter__(self) -> Iterator[tuple[Row, str]]:
        for row in self._manifest:
            path = os.path.abspath(row.path)
            if os.path.dirname(path) not in self._inside:
                yield row, path


def plan(
    inputs: Inputs,
    passing: Container[str | None],
    deliver: Deliver,
    journal: Journal,
    shard: Shard | None = None,
) -> JobTable:
    """One job for each image, in the order of the manifest; with a shard, for each of its images.

    The output mirrors the input tree from the deepest folder that holds every image and every folder that the user
    named (column `root`). An image keeps the file that an earlier run gave it, and takes no other's.

    Raises
    ------
    UsageError
        An output would take the place of an input.
    """
    taken, sources = DiskSet((CURVES, *NAMES)), DiskSet()
    jobs = JobTable()
    for row, path in inputs:
        version, identity = _state(path)
        if identity is not None:
            sources.add(identity)
        mapped = deliver == "pixels" and row.domain not in passing and os.path.splitext(path)[1].lower() in SUFFIXES
        target = _named(os.path.relpath(path, inputs.common), mapped or deliver == "png")
        source = _digest(path)
        before = journal.find(source, whole=False) or _adopted(source, path, version, target, row, journal)
        if deliver not in ("gsps", "npy"):  # whose files hold many images
            target = _free(target, before, taken, partial(journal.holder, but=source))
        taken.add(target)
        if shard is not None and not shard.has(source):
            continue
        key = _key(path, version, target, row)
        jobs.add(Job(row.path, row.domain, target, key, row.inverted, source))
    _refuse_overwriting(jobs, sources, inputs.output)
    return jobs


def _adopted(source: str, path: str, version: str, target: str, row: Row, journal: Journal) -> Entry | None:
    """The entry of an older build, which took a polarity that nobody states for one that is not inverted."""
    old = _key(path, version, target, replace(row, inverted=bool(row.inverted)))
    return journal.adopt(source, old, _key(path, version, target, row))


def _named(relative: str, as_png: bool) -> str:
    """The usual output file of an input; none is called like what a run keeps in its folder while it lasts."""
    if TEMPORARY not in relative and not as_png:
        return relative
    parts = [part[1:] if part.startswith(TEMPORARY) else part for part in Path(relative).parts]
    target = Path(*parts)
    return str(target.with_suffix(".png") if as_png else target)


def _free(target: str, before: Entry | None, taken: Container[str], held: Callable[[str], bool]) -> str:
    """The file that the image has already, or one that no other image has: a.jpg may lie beside a.png."""
    own = None if before is None else before.target
    if own is not None and own not in taken and os.path.splitext(own)[1] == os.path.splitext(target)[1]:
        return own
    suffix = Path(target).suffix
    while target in taken or held(target):
        target += suffix or "_"
    return target


def _refuse_overwriting(jobs: JobTable, sources: Container[str], output: Path) -> None:
    """By what the files are, not by their names: a folder may have several, through links, mounts and letter case."""
    for target in jobs.targets():
        identity = _state(os.path.join(output, target))[1]
        if identity is not None and identity in sources:
            raise UsageError(
                "the output would take the place of an input",
                file=output / target,
                next_step="Name an output folder of its own.",
            )


class _Inside:
    """Which folders lie in the output folder."""

    def __init__(self, output: Path) -> None:
        self._output = _state(output)[1]
        self._known: dict[str, bool] = {}

    def __contains__(self, folder: str) -> bool:
        if self._output is None:  # it does not exist yet
            return False
        if folder not in self._known:
            real = os.path.realpath(folder)
            above = [Path(real), *Path(real).parents]
            self._known[folder] = any(_state(one)[1] == self._output for one in above)
        return self._known[folder]


def _state(path: str | Path) -> tuple[str, str | None]:
    """Size and time of a file, in words; and device and inode, None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a NUL in the path
        return "gone", None
    return f"{status.st_size}|{status.st_mtime_ns}", f"{status.st_dev}|{status.st_ino}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


def _key(path: str, version: str, target: str, row: Row) -> str:
    """A file that is changed, or that goes elsewhere, is another piece of work."""
    return _digest(f"{path}|{version}|{target}|{row.domain}|{row.inverted}")
