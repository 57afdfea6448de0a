"""EMBED, the Emory breast imaging dataset (Jeong et al. 2023), as the paper filters and samples it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from isotone.data.cohorts.cohort import Cohort, read_published, sample
from isotone.errors import IsotoneError
from isotone.imaging.dicom.part10 import open_part10

ORIGIN = "Request it at https://registry.opendata.aws/emory-breast-imaging-dataset-embed/."

MODELS = {
    "Selenia Dimensions": "Selenia Dimensions",
    "Clearview CSm": "Clearview CSm",
    "Senograph 2000D ADS_17.4.5": "Senograph 2000D",
    "Senograph 2000D ADS_17.5": "Senograph 2000D",
}
"""ManufacturerModelName → domain; Selenia Dimensions is the paper's reference."""

DENSITY = {1: "A", 2: "B", 3: "C", 4: "D"}
"""`tissueden` → density class; other numbers (5 is a male breast) have none."""

METADATA = (
    "empi_anon",
    "acc_anon",
    "anon_dicom_path",
    "SeriesDescription",
    "FinalImageType",
    "ImageLateralityFinal",
    "ViewPosition",
    "spot_mag",
    "PatientSex",
    "ManufacturerModelName",
)


def embed_cohort(root: str | Path, *, per_cell: int | None = 500, seed: int = 0) -> Cohort:
    """Craniocaudal 2D mammograms of three scanner models with their density classes.

    One image per patient, scanner and class; only images whose PixelIntensityRelationship is LOG.

    Parameters
    ----------
    root : path
        The download: `tables/EMBED_OpenData_metadata.csv`, `tables/EMBED_OpenData_clinical.csv` and
        `images/cohort_…/`.
    per_cell : int or None
        At most so many patients per scanner and class; None: every image.
    seed : int
        As everywhere.

    Raises
    ------
    UsageError
        A table is missing or unreadable.
    IsotoneError
        E_DATA: no image passes the filters.
    """
    root = Path(root)
    table = read_published(root / "tables" / "EMBED_OpenData_metadata.csv", METADATA, ORIGIN)
    table = table.dropna(subset=["anon_dicom_path"])
    table = table.assign(view=_view(table), path=_paths(table["anon_dicom_path"], root))
    table = table.drop_duplicates("path")
    steps = [f"{len(table)} images listed"]
    kept = pd.Series(True, table.index)
    for name, passes in {
        "2D": table["FinalImageType"] == "2D",
        "CC": table["view"] == "CC",
        "no spot or magnification": table["spot_mag"].isna(),
        "female": table["PatientSex"] == "F",
        "of the three models": table["ManufacturerModelName"].isin(MODELS),
    }.items():
        kept &= passes.fillna(False).astype(bool)
        steps.append(f"{int(kept.sum())} {name}")
    table = table[kept]
    label = _density(root)
    exams = pd.MultiIndex.from_arrays([_identifier(table["empi_anon"]), _identifier(table["acc_anon"])])
    found = pd.DataFrame(
        {
            "path": table["path"],
            "domain": table["ManufacturerModelName"].map(MODELS),
            "label": label.reindex(exams).to_numpy(),
            "patient_id": _identifier(table["empi_anon"]),
            "view": table["view"],
            "laterality": table["ImageLateralityFinal"],
        }
    )
    found = found[found["label"].notna()]
    steps.append(f"{len(found)} with a density class")
    if found.empty:
        raise IsotoneError("E_DATA", f"no image passes the filters ({', '.join(steps)})", file=root, next_step=ORIGIN)
    return sample(found, ORIGIN, per_cell=per_cell, seed=seed, accept=_is_log, notes=[", ".join(steps)])


def _view(table: pd.DataFrame) -> pd.Series:
    """ViewPosition; what SeriesDescription says where it is missing, and where that says exaggerated (XCCL)."""
    said = table["SeriesDescription"].str.upper().fillna("")
    read = pd.Series(pd.NA, table.index, "string")
    for view in ("CC", "MLO"):
        read = read.mask(said.str.contains(view, regex=False), view)
    return table["ViewPosition"].fillna(read).mask(said.str.contains("XCC", regex=False), "XCCL")


def _paths(published: pd.Series, root: Path) -> list[str]:
    """Where a file lies below the download; the table has the path of the machine that made it."""
    below = published.str.replace(r"^.*?(?=cohort_\d+/)", "", regex=True)
    return [str(root / "images" / path) for path in below]


def _density(root: Path) -> pd.Series:
    """Density class by patient and examination: the first that any finding of the examination states."""
    columns = ("empi_anon", "acc_anon", "tissueden")
    clinical = read_published(root / "tables" / "EMBED_OpenData_clinical.csv", columns, ORIGIN)
    label = pd.to_numeric(clinical["tissueden"], errors="coerce").map(DENSITY)
    return label.groupby([_identifier(clinical["empi_anon"]), _identifier(clinical["acc_anon"])]).first()


def _identifier(column: pd.Series) -> pd.Series:
    """Identifiers without the ".0" that a float column has left in some copies of the tables."""
    return column.str.replace(r"\.0$", "", regex=True)


def _is_log(path: Path) -> bool:
    try:
        with open_part10(path) as file:
            return str(file.dataset.get("PixelIntensityRelationship", "")) == "LOG"
    except IsotoneError:
        return False  # it could not be used either
