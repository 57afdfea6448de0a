"""The table of images that every command starts from."""

from __future__ import annotations

import copy
import csv
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isotone._runtime.files import replace_file
from isotone.data.manifests.cells import COLUMNS, MISSING, Columns, cleaned, refuse_twice
from isotone.data.manifests.columns import known_columns
from isotone.data.manifests.domain_names import KnownDomains, Naming
from isotone.data.manifests.from_headers import FOUND, DomainFrom, HeaderOptions, filled, known_as
from isotone.data.manifests.from_table import PATHS, columns_of_file, listed_cells, refuse_straddling, texts, truths
from isotone.data.manifests.table import is_manifest
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.folder import images_in
from isotone.imaging.no_image import how_many
from isotone.safe_text import FORMULA

if TYPE_CHECKING:
    import pandas as pd

TO_LABEL = (
    "Fill the column 'label'; for folders, isotone manifest FOLDER -o manifest.csv writes a table with that column."
)


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
    table : DataFrame, or mapping of name to sequence
        Column `path`, and as far as known `domain`, `label`, `patient_id`, `split` (strings or missing) and
        `inverted` (polarity, whatever the file says: true, 0 is white; false, 0 is black); further columns are kept.
        Headings, splits and missing values may be spelled as `isotone.data.manifests.columns` and `manifest_cells` say.

    Attributes
    ----------
    columns : dict of name to list
        The cells of `COLUMNS` and of those columns that were given; None: missing.
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

    columns: Columns
    notes: tuple[str, ...] = ()
    naming: Naming = Naming()
    left_out: int = 0
    refused: tuple[IsotoneError, ...] = ()

    def __init__(self, table: pd.DataFrame | Mapping[str, Sequence[Any]]) -> None:
        given = {str(name): listed_cells(cells) for name, cells in table.items()}
        names, notes = known_columns([*given])
        columns = {names.get(name, name): cells for name, cells in given.items()}
        written = {name: texts(columns[name]) for name in COLUMNS if name in columns}
        columns |= cleaned(written, len(columns["path"]), notes)
        if "inverted" in columns:
            columns["inverted"] = truths(texts(columns["inverted"]))
        refuse_twice(columns["path"])
        refuse_straddling(columns)
        self.columns, self.notes = columns, tuple(notes)
        _warn(notes)

    @classmethod
    def _of(
        cls, columns: Columns, notes: Sequence[str] = (), *, naming: Naming | None = None, left_out: int = 0
    ) -> Self:
        """From columns that need no cleaning."""
        manifest = cls.__new__(cls)
        manifest.columns, manifest.notes = columns, tuple(notes)
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
            columns, notes = columns_of_file(source)
            options = HeaderOptions(domain, Naming.of(domain_map, domain_by), workers=workers)
            found = filled(columns, options)
            refuse_straddling(found.columns)
        except UsageError as error:
            raise UsageError(error.what, code=error.code, file=source, next_step=error.next_step) from None
        notes = [f"{source}: {note}" for note in [*notes, *found.notes]]
        _warn(notes)
        return cls._of(found.columns, notes, naming=options.naming)

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
        columns = cls(_one_below_the_other(tables)).columns
        if inverted is not None:
            columns["inverted"] = [inverted] * len(columns["path"])
        found = filled(columns, options)
        left_out = found.left_out + len(others)
        if not found.columns["path"]:
            raise UsageError(f"no image here; {how_many(left_out)}", code="E_READ", file=given[0])
        refuse_straddling(found.columns)
        notes += found.notes
        _warn(notes)
        manifest = cls._of(found.columns, notes, naming=options.naming, left_out=left_out)
        manifest.refused = tuple(found.refused)
        return manifest

    def __len__(self) -> int:
        return len(self.columns["path"])

    def __iter__(self) -> Iterator[Row]:
        stated = self.columns["stated_domain" if "stated_domain" in self.columns else "domain"]
        cells = [self.columns[name] for name in COLUMNS]
        inverted = self.columns.get("inverted", [None] * len(self))
        for path, domain, label, patient, split, is_inverted, said in zip(*cells, inverted, stated, strict=True):
            yield Row(Path(path), domain, label, patient, split, is_inverted, said)

    @property
    def table(self) -> pd.DataFrame:
        """The columns as a DataFrame, made anew each time: changing it changes no manifest. It needs pandas."""
        import pandas as pd

        text = pd.StringDtype("python")  # a file name that is not UTF-8 fits in no Arrow string
        return pd.DataFrame(
            {
                name: pd.array(cells, dtype=text)
                if name in COLUMNS or all(cell is None or isinstance(cell, str) for cell in cells)
                else pd.Series(cells, dtype=object if name == "inverted" else None)
                for name, cells in self.columns.items()
            }
        )

    def column(self, name: str) -> list[str | None]:
        """The cells of one of `COLUMNS`."""
        return list(self.columns[name])

    def with_splits(self, splits: Sequence[str | None], notes: Sequence[str]) -> Self:
        """The same images, of these splits; and further notes."""
        manifest = copy.copy(self)
        manifest.columns = {**self.columns, "split": list(splits)}
        manifest.notes = (*self.notes, *notes)
        return manifest

    @property
    def domains(self) -> list[str]:
        """The domains, sorted."""
        return sorted(set(self.columns["domain"]) - {None})

    def called(self, known: KnownDomains | Sequence[str], *, workers: int = 1) -> Self:
        """The same images under the names of the domains that a model, or a caller, knows; other names stay."""
        if not isinstance(known, KnownDomains):
            known = KnownDomains(tuple(known))
        columns = known_as(self.columns, known, workers)
        return self._of(columns, self.notes, naming=self.naming, left_out=self.left_out)

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
        columns = self.columns
        if domains is not None:
            columns = self.called(domains).columns
            for name in domains:
                self._refuse_all_but_one(name, columns["domain"])
        wanted = ((domains, columns["domain"]), (splits, columns["split"]))
        keep = [not labelled or label is not None for label in columns["label"]]
        for names, cells in wanted:
            if names is not None:
                keep = [kept and cell in names for kept, cell in zip(keep, cells, strict=True)]
        if True not in keep:
            what = ["labelled row" if labelled else "row"]
            what += [f"of split {' or '.join(splits)}"] if splits else []
            what += [f"in domain {' or '.join(domains)}"] if domains else []
            advice = TO_LABEL if labelled and not any(self.columns["label"]) else None
            raise UsageError(f"the manifest has no {' '.join(what)}", code="E_MANIFEST", next_step=advice)
        return self._of(
            {name: list(compress(cells, keep)) for name, cells in columns.items()},
            self.notes,
            naming=self.naming,
            left_out=self.left_out,
        )

    def _refuse_all_but_one(self, name: str, called: Sequence[str | None]) -> None:
        """Refuse a name that no domain, or that several domains have, once they are `called` so."""
        several = sorted({str(own) for own, new in zip(self.columns["domain"], called, strict=True) if new == name})
        if len(several) > 1:
            raise UsageError(
                f"{name!r} is the name of several domains",
                code="E_MANIFEST",
                next_step=f"Name one of: {', '.join(several)}.",
            )
        if not several:
            raise UsageError(
                f"no image of domain {name!r}",
                code="E_MANIFEST",
                next_step=f"The manifest has: {', '.join(self.domains) or 'no domain at all'}.",
            )

    def write(self, path: str | Path) -> None:
        """Write as CSV, paths relative to the file where they lie beside or below it."""
        target = Path(path)
        here = target.resolve().parent
        columns = {name: cells for name, cells in self.columns.items() if name != "stated_domain"}
        for name in columns.keys() & set(PATHS):
            columns[name] = [path and _relative(path, here) for path in columns[name]]
        with (
            replace_file(target) as temporary,
            temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            rows = csv.writer(file, lineterminator=os.linesep)
            rows.writerow(columns)
            rows.writerows(zip(*columns.values(), strict=True))


def _relative(path: str, folder: Path) -> str:
    """A path from the folder; as ``./NAME`` where a spreadsheet would compute NAME, or a reader take it for missing."""
    absolute = Path(path).absolute()
    name = str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)
    return os.path.join(os.curdir, name) if FORMULA.match(name) or name.lower() in MISSING else name


def _listed(given: Path, others: list[Path], notes: list[str]) -> Columns:
    """The rows of a file, folder or manifest; what else a folder holds is added to `others`."""
    if is_manifest(given) and not given.is_dir():
        columns, more = columns_of_file(given)
        notes += [f"{given}: {note}" for note in more]
        rows = len(columns["path"])
        return columns | {"root": [str(given.parent)] * rows, FOUND: [False] * rows}
    if not given.exists():
        raise UsageError("no such file or folder", code="E_READ", file=given)
    in_folder = given.is_dir()
    paths = [str(path) for path in images_in(given, others.append)] if in_folder else [str(given)]
    if not paths:
        raise UsageError("no image in this folder", code="E_READ", file=given)
    root = given if in_folder else given.parent
    return {"path": paths, "root": [str(root)] * len(paths), FOUND: [in_folder] * len(paths)}


def _one_below_the_other(tables: Sequence[Columns]) -> Columns:
    """The rows of all tables; what a table has no column for is missing."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: [cell for table in tables for cell in table.get(name, [None] * len(table["path"]))] for name in names}


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        warnings.warn(note, stacklevel=3)
