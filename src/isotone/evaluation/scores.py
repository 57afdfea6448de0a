"""What every method made the classifier say of every image: the one table from which all metrics follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone._runtime.files import replace_file
from isotone.data.manifests.table import read_table
from isotone.errors import UsageError
from isotone.safe_text import from_inert, inert

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONE = "none"
"""The method that leaves images as they are."""
ORACLE = "oracle"
"""The same images as the reference scanner would have made them."""
IMAGE = ["image", "domain"]
LONG, MOST = 40, 12
"""Characters of a name and names that a message shows at most."""
FIXED = ["image", "patient", "domain", "view", "label", "method"]
"""Columns of ``scores.csv`` before one column per class."""

TEXTS = ["domain", "view", "label", "method"]
"""Those that hold names given by people or headers."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Labelled images of several domains, scored by several methods.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities.
    image : string array of shape (n,)
        SHA-256, first 16 hexadecimals, of the decoded pixels (or of the name, where only scores are at hand).
    patient : int array of shape (n,)
        A number per patient, without any other meaning.
    domain, view : string arrays of shape (n,)
        `view` is "" where the header has none.
    label : int array of shape (n,)
        Index into `classes`.
    probabilities : dict of method to float64 array of shape (n, C)
        A row of NaN where the method refused the image, or has nothing for it.
    """

    classes: tuple[str, ...]
    image: NDArray[np.str_]
    patient: NDArray[np.int64]
    domain: NDArray[np.str_]
    view: NDArray[np.str_]
    label: NDArray[np.int64]
    probabilities: dict[str, Floats]

    def scored(self, method: str) -> Bools:
        """Which images the method has probabilities for, shape (n,)."""
        return np.asarray(~np.isnan(self.probabilities[method]).any(axis=1))

    def with_untouched(self) -> Self:
        """The same where an image that a method refused keeps its untouched score.

        So all methods are judged on the same images, as a hospital would see them, and no method looks better for
        refusing what is difficult. Where a method has nothing for a whole domain it still has nothing; an oracle's
        twins are not made up.
        """
        untouched = self.probabilities.get(NONE)
        if untouched is None:
            return self
        filled = {}
        for method, table in self.probabilities.items():
            there = np.unique(self.domain[self.scored(method)])
            refused = np.isin(self.domain, there) & ~self.scored(method) & (method != ORACLE)
            filled[method] = np.where(refused[:, None], untouched, table)
        return replace(self, probabilities=filled)

    def at(self, images: NDArray[np.integer] | Bools) -> Self:
        """Some of the images, by their positions or a mask."""
        fields = {name: getattr(self, name)[images] for name in ("image", "patient", "domain", "view", "label")}
        return replace(self, **fields, probabilities={m: table[images] for m, table in self.probabilities.items()})

    def keys(self) -> list[tuple[str, str, int]]:
        """Domain, image, and how often the two were there before: two files may hold the same pixels."""
        turn = pd.DataFrame({"d": self.domain, "i": self.image}).groupby(["d", "i"]).cumcount()
        return [*zip(self.domain.tolist(), self.image.tolist(), turn.tolist(), strict=True)]

    @property
    def domains(self) -> list[str]:
        """Sorted."""
        return [str(d) for d in np.unique(self.domain)]

    def groups(self) -> Iterator[tuple[str, str, Bools]]:
        """Each domain with each method that scored any of its images, and which images these are."""
        for domain in self.domains:
            for method in self.probabilities:
                inside = (self.domain == domain) & self.scored(method)
                if inside.any():
                    yield domain, method, inside

    def write(self, path: Path) -> None:
        """Write as CSV: one line per image and method; `read` reads it. No cell is a formula to a spreadsheet."""
        fixed = pd.DataFrame(
            {
                "image": self.image,
                "patient": self.patient,
                "domain": self.domain,
                "view": self.view,
                "label": np.asarray(self.classes)[self.label],
            }
        )
        parts = [
            pd.concat([fixed, pd.DataFrame(table, columns=list(self.classes))], axis=1)
            .assign(method=method)
            .loc[self.scored(method), [*FIXED, *self.classes]]
            for method, table in self.probabilities.items()
        ]
        table = pd.concat(parts)
        table[TEXTS] = table[TEXTS].map(inert)
        with replace_file(path) as temporary:
            table.rename(columns=inert).to_csv(temporary, index=False, float_format="%.9g")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The table that `write` wrote.

        Raises
        ------
        UsageError
            Not such a file, or a score that is not a probability.
        """
        table = _table_of(path)
        if list(table.columns[: len(FIXED)]) != FIXED or len(table.columns) < len(FIXED) + 2:
            said = f"these are no scores of isotone evaluate (columns: {named(table.columns)})"
            raise UsageError(said, code="E_RESULTS", file=path)
        classes = tuple(table.columns[len(FIXED) :])
        table["turn"] = table.groupby([*IMAGE, "method"]).cumcount()  # two files may hold the same pixels
        keys = [*IMAGE, "turn"]
        images = table.drop_duplicates(keys).reset_index(drop=True)
        if len(images) < len(table.drop_duplicates([*keys, "patient", "label"])):
            raise UsageError("an image has two labels or two patients", code="E_RESULTS", file=path)
        return cls(
            classes=classes,
            image=images["image"].to_numpy(str),
            patient=pd.factorize(images["patient"])[0].astype(np.int64),
            domain=images["domain"].to_numpy(str),
            view=images["view"].to_numpy(str),
            label=label_indices(images["label"], classes, path, code="E_RESULTS"),
            probabilities={
                str(method): aligned(
                    pd.MultiIndex.from_frame(images[keys]),
                    pd.MultiIndex.from_frame(part[keys]),
                    _probabilities_of(part, classes, path),
                )
                for method, part in table.groupby("method", sort=False)
            },
        )


def _table_of(path: Path) -> pd.DataFrame:
    """Cells and headings as `Scores.write` was given them."""
    if not path.is_file():
        raise UsageError("no such file of scores", code="E_READ", file=path)
    try:
        text = read_table(path)
    except UsageError as error:
        raise UsageError(error.what, code="E_RESULTS", file=path) from None
    if text.encoding != "utf-8":
        raise UsageError("not written by isotone evaluate: no UTF-8", code="E_RESULTS", file=path)
    return pd.DataFrame(text.columns).map(from_inert).rename(columns=from_inert)


def named(columns: Iterable[str]) -> str:
    """Names for a message, not all of very many."""
    names = [name if len(name) <= LONG else f"{name[:LONG]}…" for name in columns]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"{', '.join(names[:MOST])}{more}"


def label_indices(
    labels: Sequence[object] | pd.Series, classes: Sequence[str], file: Path | None = None, *, code: str = "E_MANIFEST"
) -> NDArray[np.int64]:
    """Position of each label in `classes`.

    Raises
    ------
    UsageError
        A label that is no class.
    """
    index = pd.Index(classes).get_indexer(pd.Index([str(label) for label in labels]))
    if (index < 0).any():
        wrong = sorted({str(label) for label, i in zip(labels, index, strict=True) if i < 0})[0]
        raise UsageError(f"label {wrong!r} is none of the classes {', '.join(classes)}", code=code, file=file)
    return np.asarray(index, np.int64)


def _probabilities_of(table: pd.DataFrame, classes: Sequence[str], path: Path) -> Floats:
    values: Floats = table[list(classes)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not ((values >= 0) & (values <= 1)).all():  # NaN fails too
        raise UsageError("a score is no number from 0 to 1", code="E_RESULTS", file=path)
    return values


def aligned(wanted: pd.Index, given: pd.Index, values: Floats) -> Floats:
    """The rows of `values` (each of one of `given`, all different) as `wanted` has them; NaN where it is not given."""
    at = given.get_indexer(wanted)
    return np.where((at < 0)[:, None], np.nan, values[at])
