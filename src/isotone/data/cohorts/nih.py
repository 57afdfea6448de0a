"""NIH ChestX-ray14 (Wang et al. 2017), its scanners told apart by pixel spacing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from isotone.data.cohorts.cohort import Cohort, read_published, sample
from isotone.errors import UsageError

ORIGIN = "Download it from https://nihcc.app.box.com/v/ChestXray-NIHCC."

NAME, FINDINGS, PATIENT = "Image Index", "Finding Labels", "Patient ID"
AGE, SEX, VIEW, SPACING = "Patient Age", "Patient Gender", "View Position", "OriginalImagePixelSpacing[x"
"""Columns of the published table; a comma inside a heading splits it into `OriginalImagePixelSpacing[x` and `y]`."""


def nih_cohort(
    entries: str | Path,
    *,
    images: str | Path | None = None,
    label: str = "sex",
    per_cell: int | None = None,
    seed: int = 0,
) -> Cohort:
    """Chest radiographs with a domain for each pixel spacing, as "spacing 0.143".

    Parameters
    ----------
    entries : path
        `Data_Entry_2017_v2020.csv`, compressed or not.
    images : path, optional
        Folder searched in depth for the PNG files (`images_001/images/…`); default: where the table is.
    label : str
        "sex", or a finding of the table such as "Effusion": negative or positive. Across spacings many findings
        are told by brightness or projection alone: compare with the rule "AP means positive".
    per_cell : int or None
        At most so many patients per spacing and label, one image each; None: all images.
    seed : int
        As everywhere.

    Raises
    ------
    UsageError
        The table is missing or unreadable, or has no such finding.
    """
    table = read_published(Path(entries), (NAME, FINDINGS, PATIENT, AGE, SEX, VIEW, SPACING), ORIGIN)
    root = Path(images) if images is not None else Path(entries).parent
    files = {path.name: str(path) for path in sorted(root.rglob("*.png"))}
    spacing = pd.to_numeric(table[SPACING], errors="coerce").round(3)
    found = pd.DataFrame(
        {
            "path": [files.get(name, str(root / name)) for name in table[NAME]],
            "domain": "spacing " + spacing.map("{:.3f}".format),
            "label": _label(table, label, Path(entries)),
            "patient_id": table[PATIENT],
            "view": table[VIEW],
            "age": table[AGE],
            "findings": table[FINDINGS],
        }
    )
    return sample(found, ORIGIN, per_cell=per_cell, seed=seed)


def _label(table: pd.DataFrame, label: str, path: Path) -> pd.Series:
    if label == "sex":
        return table[SEX]
    lists = table[FINDINGS].str.split("|")
    known = sorted({name for names in lists.dropna() for name in names})
    if label not in known:
        raise UsageError(
            f"no image has the finding {label!r}", file=path, next_step=f"Use sex or one of: {', '.join(known)}."
        )
    return lists.map(lambda names: "positive" if label in names else "negative", na_action="ignore")
