"""The table of images that every command starts from."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from isotone._runtime.files import replace_file
from isotone.data.manifests.cells import COLUMNS, MISSING, Cells, cleaned, file_names, refuse_twice, without_missing
from isotone.data.manifests.columns import known_columns
from isotone.data.manifests.domain_names import KnownDomains, Naming
from isotone.data.manifests.from_headers import FOUND, DomainFrom, HeaderOptions, filled, known_as
from isotone.data.manifests.table import WINDOWS, as_windows, is_manifest, read_table
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.folder import images_in
from isotone.imaging.no_image import how_many

PATHS = ["path", "oracle_path"]
"""Columns of paths; the second names the same image as the reference scanner would have written it (simulations)."""
TEXT = pd.StringDtype("python")
"""Strings as Python has them: a file name that is not UTF-8 fits in no Arrow string."""
TO_LABEL = (
    "Fill the column 'label'; for folders, isotone manifest FOLDER -o manifest.csv writes a table with that column."
)
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Row:
    """One image of a manifest; `path` is absolute or relative to the working directory.

    `inverted` is the user's word on polarity, which goes before the file's own (`read_radiograph`). `stated` is
    the domain as the user gave it, while `domain` may come from the image's header.
    """

    path: Path
    domain: str | None
    label: str | None
    patient_id: str | None
    split: str | None
    inverted: bool | None = None
    stated: str | None = None


class Manifest:
    """Images with their domain, label, patient and split; docs/manifest.md has the rules.

    Parameters
    ----------
    table : DataFrame
        Column `path`, and as far as known `domain`, `label`, `patient_id`, `split` (strings or missing) and
        `inverted` (polarity, whatever the file says: true, 0 is white; false, 0 is black); further columns are kept.
        Headings, splits and missing values may be spelled as `isotone.data.manifests.columns` and `manifest_cells` say.

    Attributes
    ----------
    table : DataFrame
        Of a row for each image, with the columns of `COLUMNS` and those that were given.
    notes : tuple of str
        What was taken for what, and what may be missed: a sentence each. Each is also a warning.
    naming : Naming
        What the user said of the names of domains.
    left_out : int
        Files of folders that are no images.
    refused : tuple of IsotoneError
        Of `from_paths`: what headers alone give reason to refuse; the rows stay, and reading says so again.

    Raises
    ------
    UsageError
        No images, a missing path column, an unknown split, a patient in two splits, one path twice, an `inverted`
        that is neither true nor false.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> birch = manifest.select(domains=["Birch Mammo Two"], splits=["test"], labelled=True)
    >>> len(birch), sorted(set(birch.column("label")))
    (16, ['A', 'B', 'C', 'D'])
    >>> next(iter(birch)).path.suffix
    '.dcm'
    """

    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    naming: Naming = Naming()
    left_out: int = 0
    refused: tuple[IsotoneError, ...] = ()

    def __init__(self, table: pd.DataFrame) -> None:
        names, notes = known_columns([str(name) for name in table.columns])
        table = table.set_axis(table.columns.map(str), axis=1).rename(columns=names).reset_index(drop=True)
        texts = {name: _text(table[name]).tolist() for name in COLUMNS if name in table}
        for name, cells in cleaned(texts, len(table), notes).items():
            table[name] = pd.array(cells, dtype=TEXT)
        if "inverted" in table:
            table["inverted"] = pd.Series(_truths(_text(table["inverted"]).tolist()), dtype=object)
        refuse_twice(table["path"].tolist())
        _refuse_straddling(table)
        self.table, self.notes = table, tuple(notes)
        _warn(notes)

    @classmethod
    def _of(
        cls, table: pd.DataFrame, notes: Sequence[str] = (), *, naming: Naming | None = None, left_out: int = 0
    ) -> Self:
        """From a table that needs no cleaning."""
        manifest = cls.__new__(cls)
        manifest.table, manifest.notes = table.reset_index(drop=True), tuple(notes)
        manifest.naming, manifest.left_out = naming or Naming(), left_out
        return manifest

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        domain: str | None = None,
        domain_map: Mapping[str, str] | None = None,
        domain_by: Sequence[str] = (),
        workers: int = 1,
    ) -> Self:
        """Read a CSV, TSV or Parquet file; paths in it are absolute or relative to it.

        Parameters
        ----------
        path : path
            As `isotone.data.manifests.table.read_table` reads it.
        domain : str, optional
            Domain of the rows that name none and have no header that does.
        domain_map : mapping of str to str, optional
            Old name of a domain → new name, whether a header or the manifest has it.
        domain_by : sequence of str
            Attributes that split domains: keys of `isotone.data.manifests.domain_names.ATTRIBUTES`.
        workers : int
            Processes that read headers, where there are many.

        Raises
        ------
        UsageError
            Not readable as a manifest.
        """
        source = Path(path)
        try:
            table, notes = _from_file(source)
            options = HeaderOptions(domain, Naming.of(domain_map, domain_by), workers=workers)
            found = filled(table, options)
            _refuse_straddling(found.table)
        except UsageError as error:
            raise UsageError(error.what, code=error.code, file=source, next_step=error.next_step) from None
        notes = [f"{source}: {note}" for note in [*notes, *found.notes]]
        _warn(notes)
        return cls._of(found.table, notes, naming=options.naming)

    @classmethod
    def from_paths(
        cls,
        paths: Iterable[str | Path],
        *,
        domain: str | None = None,
        inverted: bool | None = None,
        domain_map: Mapping[str, str] | None = None,
        domain_by: Sequence[str] = (),
        domain_from: DomainFrom = "headers",
        without_harmonized: bool = False,
        workers: int = 1,
    ) -> Self:
        """Files, folders (searched in depth: `isotone.imaging.folder.images_in`) and manifests, in one table.

        Parameters
        ----------
        paths : iterable of path
        domain, domain_map, domain_by, workers
            As for `read`.
        inverted : bool, optional
            Polarity of every image, whatever its header or a manifest says.
        domain_from : {"headers", "subfolder"}
            "subfolder": the domain of what is found in a folder is the name of the first folder below it, or of the
            folder itself.
        without_harmonized : bool
            Leave out what isotone made, where it is found in a folder.

        Notes
        -----
        Files of a folder that are no images (`isotone.imaging.no_image`) are left out and counted in `left_out`; a file
        that is named itself stays, so that reading refuses it.

        Raises
        ------
        UsageError
            A path does not exist, or a folder holds no image.
        """
        options = HeaderOptions(domain, Naming.of(domain_map, domain_by), without_harmonized, workers, domain_from)
        notes: list[str] = []
        others: list[Path] = []
        given = [Path(path) for path in paths]
        tables = [_listed(path, others, notes) for path in given]
        table = cls(pd.concat(tables, ignore_index=True)).table
        if inverted is not None:
            table["inverted"] = inverted
        found = filled(table, options)
        left_out = found.left_out + len(others)
        if found.table.empty:
            raise UsageError(f"no image here; {how_many(left_out)}", code="E_READ", file=given[0])
        _refuse_straddling(found.table)
        notes += found.notes
        _warn(notes)
        manifest = cls._of(found.table, notes, naming=options.naming, left_out=left_out)
        manifest.refused = tuple(found.refused)
        return manifest

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Row]:
        stated = self.table["stated_domain" if "stated_domain" in self.table else "domain"]
        columns = [self.column(name) for name in COLUMNS]
        inverted = self.table["inverted"].tolist() if "inverted" in self.table else [None] * len(self)
        for path, domain, label, patient, split, is_inverted, said in zip(
            *columns, inverted, _or_none(stated), strict=True
        ):
            yield Row(Path(str(path)), domain, label, patient, split, is_inverted, said)

    def column(self, name: str) -> list[str | None]:
        """The cells of one of `COLUMNS`."""
        return _or_none(self.table[name])

    def with_splits(self, splits: Sequence[str | None], notes: Sequence[str]) -> Self:
        """The same images, of these splits; and further notes."""
        manifest = copy.copy(self)
        manifest.table = self.table.assign(split=pd.array(splits, dtype=TEXT))
        manifest.notes = (*self.notes, *notes)
        return manifest

    @property
    def domains(self) -> list[str]:
        """The domains, sorted."""
        return sorted(self.table["domain"].dropna().unique())

    def called(self, known: KnownDomains | Sequence[str], *, workers: int = 1) -> Self:
        """The same images under the names of the domains that a model, or a caller, knows; other names stay."""
        if not isinstance(known, KnownDomains):
            known = KnownDomains(tuple(known))
        table = known_as(self.table, known, workers)
        return self._of(table, self.notes, naming=self.naming, left_out=self.left_out)

    def select(
        self,
        *,
        domains: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        labelled: bool = False,
    ) -> Self:
        """The rows of some domains and splits; with `labelled`, those that have a label.

        A domain is found under a name that is alike (`isotone.imaging.dicom.scanner_name`), and is then called as
        asked.

        Raises
        ------
        UsageError
            A domain that is not in the manifest, or nothing left.
        """
        table = self.table
        if domains is not None:
            table = self.called(domains).table
            for name in domains:
                several = sorted(self.table["domain"][table["domain"] == name].unique())
                if len(several) > 1:
                    raise UsageError(
                        f"{name!r} stands for several domains",
                        code="E_MANIFEST",
                        next_step=f"Name one of: {', '.join(several)}.",
                    )
                if not several:
                    raise UsageError(
                        f"no image of domain {name!r}",
                        code="E_MANIFEST",
                        next_step=f"The manifest has: {', '.join(self.domains) or 'no domain at all'}.",
                    )
            table = table[table["domain"].isin(domains)]
        if splits is not None:
            table = table[table["split"].isin(splits)]
        if labelled:
            table = table[table["label"].notna()]
        if table.empty:
            what = ["labelled row" if labelled else "row"]
            what += [f"of split {' or '.join(splits)}"] if splits else []
            what += [f"in domain {' or '.join(domains)}"] if domains else []
            advice = TO_LABEL if labelled and self.table["label"].isna().all() else None
            raise UsageError(f"the manifest has no {' '.join(what)}", code="E_MANIFEST", next_step=advice)
        return self._of(table, self.notes, naming=self.naming, left_out=self.left_out)

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


def _listed(given: Path, others: list[Path], notes: list[str]) -> pd.DataFrame:
    """The rows of a file, folder or manifest; what else a folder holds is added to `others`."""
    if is_manifest(given) and not given.is_dir():
        table, more = _from_file(given)
        notes += [f"{given}: {note}" for note in more]
        return table.assign(root=str(given.parent), **{FOUND: False})
    if not given.exists():
        raise UsageError("no such file or folder", code="E_READ", file=given)
    in_folder = given.is_dir()
    paths = [str(path) for path in images_in(given, others.append)] if in_folder else [str(given)]
    if not paths:
        raise UsageError("no image in this folder", code="E_READ", file=given)
    root = given if in_folder else given.parent
    return pd.DataFrame({"path": pd.array(paths, dtype=TEXT), "root": str(root), FOUND: in_folder})


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
        for name, own in columns.items():
            columns[name] = [
                c if name in PATHS and os.path.lexists(os.path.join(folder, c)) else as_windows(c) for c in own
            ]
    cells: dict[str, Cells] = {name: [*own] for name, own in columns.items()}
    cells |= cleaned(columns, len(found.lines), notes, found.lines)
    for name in PATHS:
        if name in columns:
            paths = cells[name] if name in COLUMNS else without_missing(name, columns[name], notes)
            cells[name] = file_names(paths, folder)
    table = pd.DataFrame({name: pd.array(values, dtype=TEXT) for name, values in cells.items()})
    if "inverted" in table:
        table["inverted"] = pd.Series(_truths(columns["inverted"]), dtype=object)
    return table, notes


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        warnings.warn(note, stacklevel=3)


def _text(values: pd.Series[str]) -> pd.Series[str]:
    return values.astype(TEXT).fillna("").str.strip()


def _truths(cells: Sequence[str]) -> list[bool | None]:
    unknown = {cell.lower() for cell in set(cells)} - {*MISSING, *TRUE, *FALSE}
    if unknown:
        raise UsageError(
            f"inverted is {sorted(unknown)[0]!r}", code="E_MANIFEST", next_step="Use true or false, or leave it empty."
        )
    return [True if cell.lower() in TRUE else False if cell.lower() in FALSE else None for cell in cells]


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
