"""Which column of a table is which of a manifest: by its letters; one that only may be it is named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from isotone.data.manifests.table import letters
from isotone.errors import UsageError

KNOWN = ("path", "domain", "label", "patient_id", "split", "inverted", "view", "oracle_path")
"""Columns that isotone reads. Of headings, letters and digits count alone: ``Patient ID`` is `patient_id`."""
WORDS = {
    "path": ("path", "file", "image", "img", "dicom", "url", "uri"),
    "patient_id": ("patient", "subject", "participant", "person", "empi", "mrn", "case", "client"),
    "domain": ("domain", "scanner", "vendor", "manufacturer", "machine", "device", "site", "hospital"),
    "label": (
        "label",
        "class",
        "target",
        "category",
        "finding",
        "diagnosis",
        "pathology",
        "truth",
        "outcome",
        "birads",
    ),
    "split": ("split", "fold", "set", "partition", "phase"),
}
LETTERS = {"y": "label", "pid": "patient_id"}
"""Headings that are short for a column; such letters within longer words mean nothing."""
"""What other data sets call a column: a heading with such a word in it may be meant. These are named, never taken."""
ABOUT_PEOPLE = ("age", "sex", "gender", "birth", "weight", "position", "orientation", "race", "ethnicity")
"""Of a heading like ``Patient Age`` the second word says that it is no identifier."""
OTHER_IDS = (
    *WORDS["path"],
    *WORDS["domain"],
    *WORDS["label"],
    "study",
    "series",
    "exam",
    "instance",
    "accession",
    "uid",
)
"""A heading that ends in "id" may name patients, unless it says of what else it is the identifier."""
SHOWN = 12
"""Headings that a message lists at most; more would hide what to do."""
WIDE = 40
"""Characters of a heading that a message shows; a binary file read as text has headings without end."""


def known_columns(headings: Sequence[str], written: str = "") -> tuple[dict[str, str], list[str]]:
    """The headings to rename, and what to know of the others.

    Parameters
    ----------
    headings : sequence of str
    written : str
        How the file is written, for the refusal.

    Returns
    -------
    names : dict of heading to str
        Headings that are columns of `KNOWN` under another spelling.
    notes : list of str
        One sentence for what was taken, and for each column that is lacking and may be there under another name.

    Raises
    ------
    UsageError
        E_MANIFEST: no column `path`, or two columns that are the same one.
    """
    by_letters = {letters(name): name for name in KNOWN}
    found: dict[str, str] = {}
    for heading in headings:
        name = by_letters.get(letters(heading))
        if name in found:
            raise UsageError(
                f"the columns {found[name]!r} and {heading!r} are both read as {name!r}",
                code="E_MANIFEST",
                next_step="Rename or remove one of them.",
            )
        if name is not None:
            found[name] = heading
    if "path" not in found:
        raise _no_path(headings, written)
    names = {heading: name for name, heading in found.items() if heading != name}
    notes = [f"column {heading!r} is read as {name!r}" for heading, name in names.items()]
    for name in WORDS:
        if name not in found and (like := [h for h in headings if h not in found.values() and _may_be(name, h)]):
            notes.append(f"no column {name!r}, but {listed(like)}: rename the column that is meant")
    return names, notes


def listed(headings: Sequence[str]) -> str:
    """Headings as a message shows them."""
    shown = ", ".join(repr(h if len(h) <= WIDE else f"{h[:WIDE]}…") for h in headings[:SHOWN])
    return shown if len(headings) <= SHOWN else f"{shown} and {len(headings) - SHOWN} more"


def _no_path(headings: Sequence[str], written: str) -> UsageError:
    like = [h for h in headings if _may_be("path", h)]
    how = f" ({written})" if written else ""
    return UsageError(
        f"no column 'path' among {listed(headings) or 'no columns at all'}{how}",
        code="E_MANIFEST",
        next_step=f"Call the column of the image files 'path'{f'; is it {listed(like)}?' if like else '.'}",
    )


def _may_be(name: str, heading: str) -> bool:
    """Whether a heading has a word of `WORDS` in it, or is the name but for a slip of the keyboard."""
    text = letters(heading)
    if LETTERS.get(text) == name:
        return True
    if any(word in text for word in WORDS[name]) or difflib.get_close_matches(text, [letters(name)], cutoff=0.8):
        return name != "patient_id" or not text.endswith(ABOUT_PEOPLE)
    return name == "patient_id" and text.endswith("id") and not any(word in text for word in OTHER_IDS)
