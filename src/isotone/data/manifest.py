"""The table of images that every command starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
SPLITS = ("train", "val", "test")
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
    """Images with their domain, label, patient and split.

    Parameters
    ----------
    table : DataFrame
        Column `path`, and as far as known `domain`, `label`, `patient_id`, `split` (strings or missing) and
        `inverted` (true or false: 0 is white in this PNG, TIFF or JPEG); further columns are kept.

    Raises
    ------
    UsageError
        No images, a missing path column, an unknown split, a patient in two splits, one path twice, an `inverted`
        that is neither true nor false.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        if "path" not in table:
            raise UsageError("the manifest has no column 'path'", code="E_MANIFEST")
        if table.empty:
            raise UsageError("the manifest lists no image", code="E_MANIFEST")
        table = table.reset_index(drop=True).copy()
        for column in COLUMNS:
            values = table[column] if column in table else pd.Series([None] * len(table))
            text = values.astype(TEXT).str.strip()
            table[column] = text.mask(text == "")
        if table["path"].isna().any():
            line = int(table["path"].isna().to_numpy().argmax()) + 2
            raise UsageError(f"line {line} has no path", code="E_MANIFEST")
        unknown = set(table["split"].dropna()) - set(SPLITS)
        if unknown:
            raise UsageError(
                f"unknown split {sorted(unknown)[0]!r}",
                code="E_MANIFEST",
                next_step="Use train, val or test, or leave the column out.",
            )
        if table["path"].duplicated().any():
            raise UsageError(f"{table['path'][table['path'].duplicated()].iloc[0]} is listed twice", code="E_MANIFEST")
        if "inverted" in table:
            table["inverted"] = _truths(table["inverted"])
        self.table = table
        _refuse_straddling(table)

    @classmethod
    def read(cls, path: str | Path, *, domain: str | None = None) -> Self:
        """Read a CSV or Parquet file; paths in it are absolute or relative to it.

        Parameters
        ----------
        path : path
            ``*.parquet`` is read as Parquet (needs pyarrow), anything else as CSV.
        domain : str, optional
            Domain of the rows that name none and have no header that does.

        Raises
        ------
        UsageError
            Not readable as a manifest.
        """
        source = Path(path)
        try:
            if source.suffix == ".parquet":
                table = pd.read_parquet(source).astype(TEXT)
            else:
                table = pd.read_csv(source, dtype=TEXT, keep_default_na=False)
        except ImportError:
            raise IsotoneError("E_EXTRA", "Parquet needs pyarrow", file=source) from None
        except FileNotFoundError:
            raise UsageError("no such manifest", code="E_READ", file=source) from None
        except (OSError, ValueError, UnicodeError) as error:  # pandas' and pyarrow's parse errors are ValueErrors
            raise UsageError("not readable as CSV or Parquet", code="E_MANIFEST", file=source) from error
        try:
            manifest = cls(table)
        except UsageError as error:
            raise UsageError(error.what, code=error.code, file=source, next_step=error.next_step) from None
        table = manifest.table
        for column in table.columns.intersection(PATHS):
            table[column] = [str(source.parent / p) if p else None for p in table[column].fillna("")]
        return cls(_with_header_facts(table, domain))

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
        tables = []
        for given in map(Path, paths):
            if given.is_dir():
                found = [str(path) for path in images_in(given)]
                if not found:
                    raise UsageError("no image in this folder", code="E_READ", file=given)
                tables.append(_listing(found, given))
            elif given.suffix.lower() in {".csv", ".parquet"}:
                tables.append(cls.read(given, domain=domain).table.assign(root=str(given.parent)))
            elif given.exists():
                tables.append(_listing([str(given)], given.parent))
            else:
                raise UsageError("no such file or folder", code="E_READ", file=given)
        table = cls(pd.concat(tables, ignore_index=True)).table
        if inverted:
            table["inverted"] = True
        return cls(_with_header_facts(table, domain))

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Row]:
        inverted = self.table["inverted"] if "inverted" in self.table else [False] * len(self)
        facts = self.table[[*COLUMNS, "stated_domain" if "stated_domain" in self.table else "domain"]]
        for row, is_inverted in zip(facts.itertuples(index=False), inverted, strict=True):
            path, domain, label, patient, split, stated = (None if pd.isna(value) else str(value) for value in row)
            yield Row(Path(str(path)), domain, label, patient, split, bool(is_inverted), stated)

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
        return type(self)(table)

    def write(self, path: str | Path) -> None:
        """Write as CSV, paths relative to the file where they lie beside or below it."""
        target = Path(path)
        here = target.resolve().parent
        table = self.table.drop(columns="stated_domain", errors="ignore")
        for column in table.columns.intersection(PATHS):
            table[column] = [_relative(p, here) if p else None for p in table[column].fillna("")]
        with replace_file(target) as temporary:
            table.to_csv(temporary, index=False)


def _relative(path: str, folder: Path) -> str:
    absolute = Path(path).absolute()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _listing(paths: Sequence[str], root: Path) -> pd.DataFrame:
    return pd.DataFrame({"path": pd.array(paths, dtype=TEXT), "root": str(root)})


def _truths(values: pd.Series[str]) -> NDArray[np.bool_]:
    text = values.astype(TEXT).fillna("").str.strip().str.lower()
    unknown = set(text) - {"", *TRUE, *FALSE}
    if unknown:
        raise UsageError(
            f"inverted is {sorted(unknown)[0]!r}", code="E_MANIFEST", next_step="Use true or false, or leave it empty."
        )
    return text.isin(TRUE).to_numpy(bool)


def _refuse_straddling(table: pd.DataFrame) -> None:
    known = table.dropna(subset=["patient_id", "split"])
    splits = known.groupby("patient_id")["split"].nunique()
    if (splits > 1).any():
        raise UsageError(
            f"{int((splits > 1).sum())} patients are in two splits",
            code="E_MANIFEST",
            next_step="Give each patient one split, or leave the column 'split' out.",
        )


def _with_header_facts(table: pd.DataFrame, domain: str | None) -> pd.DataFrame:
    """Fill domain and patient from the DICOM headers where the table has none; `domain` fills what is left."""
    stated = table["stated_domain" if "stated_domain" in table else "domain"]
    table["stated_domain"] = stated.copy() if domain is None else stated.fillna(domain)
    lacking = (table["domain"].isna() | table["patient_id"].isna()).to_numpy()
    facts = {name: table[name].to_numpy(object) for name in ("domain", "patient_id")}
    for index in lacking.nonzero()[0]:
        path = Path(str(table["path"].iloc[index]))
        if path.suffix.lower() in RASTER_SUFFIXES:
            continue
        try:
            header = read_header(path)
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
