"""The table of images that every command starts from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.data.manifest_cells import (
    MISSING,
    alike_labels,
    listed_twice,
    located,
    patients_of,
    splits_of,
    without_missing,
)
from isotone.data.manifest_columns import known_columns
from isotone.data.manifest_table import WINDOWS, as_windows, is_manifest, read_table
from isotone.errors import IsotoneError, UsageError
from isotone.files import replace_file
from isotone.imaging.folder import images_in
from isotone.imaging.raster import SUFFIXES as RASTER_SUFFIXES
from isotone.imaging.read import read_header

COLUMNS = ("path", "domain", "label", "patient_id", "split")
PATHS = ["path", "oracle_path"]
"""Columns of paths; the second names the same image as the reference scanner would have written it (simulations)."""
TEXT = pd.StringDtype("python")
"""Strings as Python has them: a file name that is not UTF-8 fits in no Arrow string."""
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Row:
    """One image of a manifest; `path` is absolute or relative to the working directory.

    `inverted` is the user's word that 0 is white in a PNG, TIFF or JPEG; DICOM files say it themselves. `stated` is
    the domain as the user gave it, while `domain` may come from the image's header.
    """

    path: Path
    domain: str | None
    label: str | None
    patient_id: str | None
    split: str | None
    inverted: bool = False
    stated: str | None = None


class Manifest:
    """Images with their domain, label, patient and split; docs/manifest.md has the rules.

    Parameters
    ----------
    table : DataFrame
        Column `path`, and as far as known `domain`, `label`, `patient_id`, `split` (strings or missing) and
        `inverted` (true or false: 0 is white in this PNG, TIFF or JPEG); further columns are kept. Headings, splits
        and missing values may be spelled as `isotone.data.manifest_columns` and `manifest_cells` say.

    Attributes
    ----------
    table : DataFrame
        Of a row for each image, with the columns of `COLUMNS` and those that were given.
    notes : tuple of str
        What was taken for what, and what may be missed: a sentence each. Each is also a warning.

    Raises
    ------
    UsageError
        No images, a missing path column, an unknown split, a patient in two splits, one path twice, an `inverted`
        that is neither true nor false.
    """

    table: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __init__(self, table: pd.DataFrame) -> None:
        names, notes = known_columns([str(name) for name in table.columns])
        table = table.set_axis(table.columns.map(str), axis=1).rename(columns=names).reset_index(drop=True)
        self.table, self.notes = _cleaned(table, notes), tuple(notes)
        twice = listed_twice(self.table["path"].tolist())
        if twice is not None:
            raise UsageError(f"{twice} is listed twice", code="E_MANIFEST")
        _refuse_straddling(self.table)
        _warn(notes)

    @classmethod
    def _of(cls, table: pd.DataFrame, notes: Sequence[str] = ()) -> Self:
        """From a table that needs no cleaning."""
        manifest = cls.__new__(cls)
        manifest.table, manifest.notes = table.reset_index(drop=True), tuple(notes)
        return manifest

    @classmethod
    def read(cls, path: str | Path, *, domain: str | None = None) -> Self:
        """Read a CSV, TSV or Parquet file; paths in it are absolute or relative to it.

        Parameters
        ----------
        path : path
            As `isotone.data.manifest_table.read_table` reads it.
        domain : str, optional
            Domain of the rows that name none and have no header that does.

        Raises
        ------
        UsageError
            Not readable as a manifest.
        """
        source = Path(path)
        try:
            table, notes = _from_file(source)
            twice = listed_twice(table["path"].tolist())
            if twice is not None:
                raise UsageError(f"{twice} is listed twice", code="E_MANIFEST")
            table = _with_header_facts(table, domain)
            _refuse_straddling(table)
        except UsageError as error:
            raise UsageError(error.what, code=error.code, file=source, next_step=error.next_step) from None
        notes = [f"{source}: {note}" for note in notes]
        _warn(notes)
        return cls._of(table, notes)

    @classmethod
    def from_paths(cls, paths: Iterable[str | Path], *, domain: str | None = None, inverted: bool = False) -> Self:
        """Files, folders (searched in depth: `isotone.imaging.folder.images_in`) and manifests, in one table.

        Parameters
        ----------
        paths : iterable of path
        domain : str, optional
            As for `read`.
        inverted : bool
            0 is white in every PNG, TIFF and JPEG.

        Raises
        ------
        UsageError
            A path does not exist, or a folder holds no image.
        """
        tables: list[pd.DataFrame] = []
        notes: list[str] = []
        for given in map(Path, paths):
            if given.is_dir():
                found = [str(path) for path in images_in(given)]
                if not found:
                    raise UsageError("no image in this folder", code="E_READ", file=given)
                tables.append(_listing(found, given))
            elif is_manifest(given):
                read = cls.read(given, domain=domain)
                notes += read.notes
                tables.append(read.table.assign(root=str(given.parent)))
            elif given.exists():
                tables.append(_listing([str(given)], given.parent))
            else:
                raise UsageError("no such file or folder", code="E_READ", file=given)
        table = cls(pd.concat(tables, ignore_index=True)).table
        if inverted:
            table["inverted"] = True
        manifest = cls._of(_with_header_facts(table, domain), notes)
        _refuse_straddling(manifest.table)
        return manifest

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Row]:
        stated = self.table["stated_domain" if "stated_domain" in self.table else "domain"]
        columns = [_or_none(self.table[name]) for name in COLUMNS]
        inverted = self.table["inverted"].tolist() if "inverted" in self.table else [False] * len(self)
        for path, domain, label, patient, split, is_inverted, said in zip(
            *columns, inverted, _or_none(stated), strict=True
        ):
            yield Row(Path(str(path)), domain, label, patient, split, is_inverted, said)

    @property
    def domains(self) -> list[str]:
        """The domains, sorted."""
        return sorted(self.table["domain"].dropna().unique())

    def select(
        self,
        *,
        domains: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        labelled: bool = False,
    ) -> Self:
        """The rows of some domains and splits; with `labelled`, those that have a label.

        Raises
        ------
        UsageError
            A domain that is not in the manifest, or nothing left.
        """
        table = self.table
        for name in domains or ():
            if name not in self.domains:
                raise UsageError(
                    f"no image of domain {name!r}",
                    code="E_MANIFEST",
                    next_step=f"The manifest has: {', '.join(self.domains) or 'no domain at all'}.",
                )
        if domains is not None:
            table = table[table["domain"].isin(domains)]
        if splits is not None:
            table = table[table["split"].isin(splits)]
        if labelled:
            table = table[table["label"].notna()]
        if table.empty:
            what = ["labelled row" if labelled else "row"]
            what += [f"of split {' or '.join(splits)}"] if splits else []
            what += [f"in domain {' or '.join(domains)}"] if domains else []
            raise UsageError(f"the manifest has no {' '.join(what)}", code="E_MANIFEST")
        return self._of(table, self.notes)

    def write(self, path: str | Path) -> None:
        """Write as CSV, paths relative to the file where they lie beside or below it."""
        target = Path(path)
        here = target.resolve().parent
        table = self.table.drop(columns="stated_domain", errors="ignore")
        for column in table.columns.intersection(PATHS):
            paths = [_relative(p, here) if p else None for p in table[column].fillna("")]
            table[column] = pd.array(paths, dtype=TEXT)
        with replace_file(target) as temporary:
            table.to_csv(temporary, index=False, errors="surrogateescape")


def _relative(path: str, folder: Path) -> str:
    absolute = Path(path).absolute()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _listing(paths: Sequence[str], root: Path) -> pd.DataFrame:
    return pd.DataFrame({"path": pd.array(paths, dtype=TEXT), "root": str(root)})


def _or_none(values: pd.Series[str]) -> list[str | None]:
    return values.astype(object).where(values.notna(), None).tolist()


def _from_file(source: Path) -> tuple[pd.DataFrame, list[str]]:
    """The cleaned table of a file, its paths from the working directory; and notes."""
    found = read_table(source)
    names, notes = known_columns(list(found.columns), found.written)
    columns = {names.get(heading, heading): cells for heading, cells in found.columns.items()}
    folder = str(source.parent)
    if found.encoding == WINDOWS:
        notes.append("not UTF-8: read as Windows-1252")
        for name, cells in columns.items():
            columns[name] = [
                cell if name in PATHS and os.path.lexists(os.path.join(folder, cell)) else as_windows(cell)
                for cell in cells
            ]
    table = _cleaned(pd.DataFrame(columns, dtype=TEXT), notes, found.lines)
    table["path"] = pd.array(located(table["path"].tolist(), folder), dtype=TEXT)
    if "oracle_path" in table:
        oracle = without_missing("oracle_path", columns["oracle_path"], notes)
        places = iter(located([cell for cell in oracle if cell is not None], folder))
        table["oracle_path"] = pd.array([None if cell is None else next(places) for cell in oracle], dtype=TEXT)
    return table, notes


def _cleaned(table: pd.DataFrame, notes: list[str], lines: Sequence[int] | None = None) -> pd.DataFrame:
    """The table with every column of `COLUMNS` as text or missing; `lines` are those of a file, for messages."""
    if table.empty:
        raise UsageError("the manifest lists no image", code="E_MANIFEST")
    for column in COLUMNS:
        given = table[column] if column in table else pd.Series([None] * len(table), dtype=TEXT)
        cells = without_missing(column, _or_none(given.astype(TEXT)), notes)
        if column == "split":
            cells = splits_of(cells, notes)
        if column == "patient_id":
            cells = patients_of(cells, notes)
        if column == "label":
            notes += alike_labels(cells)
        if column == "path" and None in cells:
            row = cells.index(None)
            where = f"row {row}" if lines is None else f"line {lines[row]}"
            raise UsageError(f"{where} has no path", code="E_MANIFEST")
        table[column] = pd.array(cells, dtype=TEXT)
    if "inverted" in table:
        table["inverted"] = _truths(table["inverted"])
    return table


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        warnings.warn(note, stacklevel=3)


def _truths(values: pd.Series[str]) -> NDArray[np.bool_]:
    text = values.astype(TEXT).fillna("").str.strip().str.lower()
    unknown = set(text) - {*MISSING, *TRUE, *FALSE}
    if unknown:
        raise UsageError(
            f"inverted is {sorted(unknown)[0]!r}", code="E_MANIFEST", next_step="Use true or false, or leave it empty."
        )
    return text.isin(TRUE).to_numpy(bool)


def _refuse_straddling(table: pd.DataFrame) -> None:
    split_of: dict[str, str] = {}
    straddling = set()
    for patient, split in zip(_or_none(table["patient_id"]), _or_none(table["split"]), strict=True):
        if patient is not None and split is not None and split_of.setdefault(patient, split) != split:
            straddling.add(patient)
    if straddling:
        count = len(straddling)
        raise UsageError(
            "1 patient is in two splits" if count == 1 else f"{count} patients are in two splits",
            code="E_MANIFEST",
            next_step="Give each patient one split, or leave the column 'split' out.",
        )


def _with_header_facts(table: pd.DataFrame, domain: str | None) -> pd.DataFrame:
    """Fill domain and patient from the DICOM headers where the table has none; `domain` fills what is left."""
    stated = table["stated_domain" if "stated_domain" in table else "domain"]
    table["stated_domain"] = stated.copy() if domain is None else stated.fillna(domain)
    lacking = (table["domain"].isna() | table["patient_id"].isna()).to_numpy()
    facts = {name: table[name].to_numpy(object) for name in ("domain", "patient_id")}
    paths = table["path"].tolist()
    for index in lacking.nonzero()[0]:
        path = paths[index]
        if path.lower().endswith((*RASTER_SUFFIXES,)):
            continue
        try:
            header = read_header(Path(path))
        except IsotoneError:
            continue  # named again, with its reason, when the image itself is read
        for name, values in facts.items():
            if pd.isna(values[index]):
                values[index] = getattr(header, name)
    for name, values in facts.items():
        table[name] = pd.array(values, dtype=TEXT)
    if domain is not None:
        table["domain"] = table["domain"].fillna(domain)
    return table
