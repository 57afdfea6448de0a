"""RSNA Pneumonia Detection Challenge (Kaggle, 2018), its scanners told apart by pixel spacing as in the paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from isotone._runtime.workers import map_isolated
from isotone.data.cohorts.cohort import Cohort, read_published, sample
from isotone.data.images import progress
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.dicom.part10 import open_part10

ORIGIN = "Download it from https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data."

BRANDS = {"brand X": (0.171, 0.0005), "brand Y": (0.143, 0.0005), "third group": (0.1943, 0.001)}
"""Pixel spacing in mm and its tolerance; brand Y is the paper's reference, the third group it leaves unused."""

OTHER = "other spacing"
COLUMNS = ("PatientID", "PixelSpacing", "ViewPosition", "Filename")


def rsna_cohort(
    labels: str | Path,
    *,
    headers: str | Path | None = None,
    images: str | Path | None = None,
    per_cell: int | None = 500,
    seed: int = 0,
    workers: int = 1,
    quiet: bool = False,
) -> Cohort:
    """Negative and positive chest radiographs of the brands X and Y and of a third group.

    Parameters
    ----------
    labels : path
        `stage_2_train_labels.csv`, zipped or not; a patient is positive if any row of hers is.
    headers : path, optional
        A table of the DICOM headers (PatientID, PixelSpacing, ViewPosition, Filename); default: the files' own.
    images : path, optional
        Folder of the DICOM files; default: `stage_2_train_images` beside the labels.
    per_cell : int or None
        At most so many patients per brand and label; None: all.
    seed, workers, quiet
        As everywhere.

    Raises
    ------
    UsageError
        A table is missing or unreadable, or there are neither images nor a header table.
    """
    folder = Path(images) if images is not None else Path(labels).parent / "stage_2_train_images"
    target = read_published(Path(labels), ("patientId", "Target"), ORIGIN)
    positive = target["Target"].eq("1").groupby(target["patientId"]).any()
    notes: list[str] = []
    if headers is not None:
        table = read_published(Path(headers), COLUMNS, ORIGIN)
    else:
        table = _read_headers(folder, workers, quiet, notes)
    spacing = pd.to_numeric(table["PixelSpacing"], errors="coerce").to_numpy(float, na_value=np.nan)
    known = table["PatientID"].map(positive)
    found = pd.DataFrame(
        {
            "path": [str(folder / name) for name in table["Filename"]],
            "domain": _brand(spacing),
            "label": known.map({True: "positive", False: "negative"}),
            "patient_id": table["PatientID"],
            "view": table["ViewPosition"],
            "spacing": spacing,
        }
    )
    if known.isna().any():
        notes.append(f"{int(known.isna().sum())} images have no label and are left out")
    cohort = sample(found[found["domain"] != OTHER], ORIGIN, per_cell=per_cell, seed=seed, notes=notes)
    return replace(cohort, found=Manifest(found))


def _brand(spacing: np.ndarray) -> list[str]:
    names = np.full(len(spacing), OTHER, object)
    for name, (middle, tolerance) in BRANDS.items():
        names[np.abs(spacing - middle) <= tolerance] = name
    return names.tolist()


def _read_headers(folder: Path, workers: int, quiet: bool, notes: list[str]) -> pd.DataFrame:
    files = sorted(folder.glob("*.dcm"))
    if not files:
        raise UsageError(
            "no DICOM file in this folder", code="E_READ", file=folder, next_step=f"{ORIGIN} Or give headers=."
        )
    rows = []
    read = map_isolated(_facts, files, workers=workers)
    for _, facts in progress(read, len(files), label="reading headers", quiet=quiet):
        if isinstance(facts, IsotoneError):
            notes.append(str(facts))
        else:
            rows.append(facts)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _facts(path: Path) -> tuple[str, str, str, str]:
    with open_part10(path) as file:
        header = file.dataset
        spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or [""]
        return (
            str(header.get("PatientID", path.stem)),
            str(spacing[0]),
            str(header.get("ViewPosition", "")),
            path.name,
        )
