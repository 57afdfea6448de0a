"""The embedded cohort: a digital mammogram phantom as four vendors would write it, with every true curve.

Table 1 of the paper in miniature: the reference scanner has all density classes everywhere; the source
scanners have only B and C in train and val, and A to D in test.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isotone._runtime.files import claim_folder, write_text
from isotone._runtime.workers import map_isolated
from isotone._version import __version__
from isotone.data.images import progress
from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.anatomy import CLASSES, Anatomy, draw_breast
from isotone.data.phantom.dicom import Exam, write_mammogram
from isotone.data.phantom.scanners import ALDER, BIRCH, DOGWOOD, SCANNERS
from isotone.errors import IsotoneError, UsageError

SHARES = {
    ("reference", "train"): dict.fromkeys(CLASSES, 30),
    ("reference", "val"): dict.fromkeys(CLASSES, 10),
    ("reference", "test"): dict.fromkeys(CLASSES, 12),
    ("source", "train"): dict.fromkeys("BC", 15),
    ("source", "val"): dict.fromkeys("BC", 7),
    ("source", "test"): dict.fromkeys(CLASSES, 12),
}
"""Patients per scanner, split and class, as weights of the total."""


@dataclass(frozen=True)
class _Patient:
    """A patient to be drawn: her files do not depend on who draws her, or after whom."""

    number: int
    scanner: int
    split: str
    label: str


def make_phantom(
    output: str | Path,
    *,
    patients: int = 360,
    size: int = 256,
    seed: int = 0,
    domains: Collection[str] | None = None,
    workers: int = 1,
    force: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Write the phantom cohort: DICOM files, `manifest.csv` and `truth.json`.

    Parameters
    ----------
    output : path
        Folder to write into; what the same call left unfinished there is taken up again.
    patients : int
        Patients of Alder, Birch and Cedar together; each has two images. Dogwood gets as many more as Birch has,
        numbered after them, so that the images of the others do not depend on it.
    size : int
        Rows of an image; columns are 0.8 of them.
    seed : int
        The same seed gives the same bytes, whatever the number of workers.
    domains : collection of str, optional
        Scanners whose images are drawn; None: all four. Their images do not depend on it.
    workers : int
        Processes; 0: this one.
    force : bool
        Write into a folder that holds something else.
    quiet : bool
        No progress bar.

    Returns
    -------
    Manifest
        As `Manifest.read` gives it. Column `oracle_path` names, for source rows of split test, the same
        exposure as the reference scanner would have written it; these twins are no rows of their own.

    Raises
    ------
    UsageError
        Fewer patients than cells of Table 1, images smaller than 32 pixels, a domain that is no scanner of the phantom,
        or a folder with other content.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.make_phantom("small", patients=72, size=32, quiet=True)
    >>> manifest.domains
    ['Alder Mammo One', 'Birch Mammo Two', 'Cedar Mammo Three', 'Dogwood Mammo Four']
    """
    if size < 32:
        raise UsageError("a phantom has at least 32 rows")
    drawn_domains = [scanner.domain for scanner in SCANNERS if domains is None or scanner.domain in domains]
    if domains is not None and len(drawn_domains) < len(set(domains)):
        known = ", ".join(scanner.domain for scanner in SCANNERS)
        raise UsageError("the phantom has no such scanner", next_step=f"It has {known}.")
    cast = [patient for patient in _allot(patients, seed) if SCANNERS[patient.scanner].domain in drawn_domains]
    settings: dict[str, Any] = {"patients": patients, "size": size, "seed": seed, "version": __version__}
    if domains is not None:
        settings["domains"] = drawn_domains
    text = json.dumps(truth() | {"settings": settings}, indent=1) + "\n"
    folder = Path(output)
    same = (folder / "truth.json").is_file() and (folder / "truth.json").read_text(encoding="utf-8") == text
    with claim_folder(folder, force=force or same):
        write_text(folder / "truth.json", text)
        drawn = map_isolated(_Drawing(folder, size, seed, same), cast, workers=workers)
        rows: list[dict[str, Any]] = []
        with closing(progress(drawn, len(cast), label="drawing", quiet=quiet)) as results:
            for _, result in results:
                if isinstance(result, IsotoneError):
                    raise result
                rows += result
        Manifest({name: [row[name] for row in rows] for name in rows[0]}).write(folder / "manifest.csv")
    return Manifest.read(folder / "manifest.csv")


def truth() -> dict[str, Any]:
    """The true curves between presentation values over full range, as `truth.json` holds them.

    Returns
    -------
    dict
        "reference_domain", and under "scanners" per domain: "formula" (in words, x being the reference's
        presentation value), "bits_stored", "photometric", "window" (center, width), and the point lists
        "reference_to_source" and "source_to_reference", each with "x" and "y" in [0, 1]. The latter covers
        the range that the scanner uses.
    """
    grid = np.linspace(0, 1, 257)
    scanners = {}
    for scanner in SCANNERS:
        shown = scanner.response(grid)
        used = np.linspace(shown[0], shown[-1], len(grid))
        scanners[scanner.domain] = {
            "formula": scanner.formula,
            "bits_stored": scanner.bits,
            "photometric": "MONOCHROME1" if scanner.inverted else "MONOCHROME2",
            "window": list(scanner.window_or_identity),
            "reference_to_source": {"x": grid.tolist(), "y": shown.tolist()},
            "source_to_reference": {"x": used.tolist(), "y": scanner.undo(used).tolist()},
        }
    return {"schema": 1, "reference_domain": ALDER.domain, "scanners": scanners}


def _allot(patients: int, seed: int) -> list[_Patient]:
    """Every cell of Table 1 gets a patient, and its share of the rest; numbers are given out at random."""
    cells = [
        (i, split, label, weight)
        for i, scanner in enumerate(SCANNERS)
        if scanner is not DOGWOOD
        for (role, split), weights in SHARES.items()
        if role == ("reference" if scanner is ALDER else "source")
        for label, weight in weights.items()
    ]
    if patients < len(cells):
        raise UsageError(f"the phantom needs at least {len(cells)} patients: one per scanner, split and class")
    weights = np.array([cell[3] for cell in cells])
    counts = np.ones(len(cells), int)
    for _ in range(patients - len(cells)):
        counts[np.argmax(weights / (2 * counts + 1))] += 1  # Sainte-Laguë: shares as equal as whole numbers allow
    numbers = np.random.default_rng(seed).permutation(patients) + 1
    flat = [cell[:3] for cell, count in zip(cells, counts, strict=True) for _ in range(count)]
    cast = sorted((_Patient(int(n), *cell) for n, cell in zip(numbers, flat, strict=True)), key=lambda p: p.number)
    return cast + _patients_of_dogwood(cast)


def _patients_of_dogwood(cast: list[_Patient]) -> list[_Patient]:
    """Patients of Dogwood: as many in each split and class as Birch has, in the same order."""
    birch, dogwood = SCANNERS.index(BIRCH), SCANNERS.index(DOGWOOD)
    models = [patient for patient in cast if patient.scanner == birch]
    return [replace(p, number=len(cast) + k, scanner=dogwood) for k, p in enumerate(models, 1)]


@dataclass(frozen=True)
class _Drawing:
    """Draws one patient's two breasts and writes their files; the rows of the manifest."""

    folder: Path
    size: int
    seed: int
    resume: bool

    def __call__(self, patient: _Patient) -> list[dict[str, Any]]:
        rng = np.random.default_rng([self.seed, patient.number])
        left = Anatomy.draw(rng, patient.label)
        sides = (("L", left), ("R", left.other_side(rng)))
        return [self._side(patient, laterality, anatomy) for laterality, anatomy in sides]

    def _side(self, patient: _Patient, laterality: str, anatomy: Anatomy) -> dict[str, Any]:
        scanner, name = SCANNERS[patient.scanner], f"P{patient.number:04d}"
        writers = {"images": scanner}
        if scanner is not ALDER and patient.split == "test":
            writers["oracle"] = ALDER
        paths = {
            branch: self.folder / branch / writer.manufacturer.lower() / name / f"{laterality}CC.dcm"
            for branch, writer in writers.items()
        }
        if not (self.resume and all(path.exists() for path in paths.values())):
            rng = np.random.default_rng([self.seed, patient.number, ord(laterality)])
            exposure = draw_breast(rng, anatomy, self.size, laterality=laterality)
            exam = Exam(name, laterality, anatomy, f"phantom {self.seed} {self.size}")
            for branch, writer in writers.items():
                write_mammogram(paths[branch], writer.stored(exposure), exam, writer)
        return {
            "path": str(paths["images"]),
            "domain": scanner.domain,
            "label": patient.label,
            "patient_id": name,
            "split": patient.split,
            "view": "CC",
            "laterality": laterality,
            "oracle_path": str(paths["oracle"]) if "oracle" in paths else None,
        }
