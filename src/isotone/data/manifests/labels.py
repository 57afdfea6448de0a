"""Which column of a manifest is the label, and a column of one finding, yes or no, as two classes."""

from __future__ import annotations

import copy

from isotone.data.manifests.manifest import Manifest
from isotone.errors import UsageError

YES = frozenset({"1", "1.0", "true", "yes", "positive", "present"})
NO = frozenset({"0", "0.0", "false", "no", "negative", "absent"})
UNSURE = frozenset({"-1", "-1.0", "uncertain", "unknown"})
"""What tables of findings write; the last as CheXpert and MIMIC-CXR do. Such rows have no label."""


def labelled_by(manifest: Manifest, column: str = "label", finding: str | None = None) -> Manifest:
    """The same images with another column as their label.

    Parameters
    ----------
    manifest : Manifest
    column : str
        Its heading, whatever the case of its letters.
    finding : str, optional
        The column says whether this is present; the labels become ``"no FINDING"`` and ``FINDING``, as
        `isotone.Classifier.of_finding` has them. Rows that are empty or uncertain have no label. None: as it stands.

    Raises
    ------
    UsageError
        No such column; or of a finding, a cell that says neither yes nor no.

    Examples
    --------
    >>> import pandas as pd
    >>> from isotone import Manifest
    >>> table = pd.DataFrame({"path": ["1.png", "2.png", "3.png"], "Edema": ["1.0", "0.0", "-1.0"]})
    >>> labelled_by(Manifest(table), "Edema", "Edema").column("label")
    ['Edema', 'no Edema', None]
    """
    named = {name.casefold(): name for name in manifest.columns}
    if column.casefold() not in named:
        known = ", ".join(name for name in manifest.columns if name != "path")
        raise UsageError(f"no column {column!r}", code="E_MANIFEST", next_step=f"Name one of: {known[:300]}.")
    cells = [_text(cell) for cell in manifest.columns[named[column.casefold()]]]
    found = copy.copy(manifest)
    found.columns = {
        **manifest.columns,
        "label": cells if finding is None else [_of(c, finding, column) for c in cells],
    }
    return found


def _text(cell: object) -> str | None:
    text = "" if cell is None or cell != cell else str(cell).strip()  # NaN differs from itself
    return text or None


def _of(cell: str | None, finding: str, column: str) -> str | None:
    said = None if cell is None else cell.casefold()
    if said is None or said in UNSURE:
        return None
    if said in YES:
        return finding
    if said in NO:
        return f"no {finding}"
    raise UsageError(
        f"column {column!r} says neither yes nor no of {finding!r}",
        code="E_MANIFEST",
        next_step="Write 1 or 0, true or false, yes or no; nothing or -1 where it is uncertain.",
    )
