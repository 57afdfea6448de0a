"""How images get the name of their domain: from the header or the manifest, renamed, and split by further attributes.

In this order, for each image:

1. the name: the manifest's column `domain`, else Manufacturer and ManufacturerModelName, else what the user says of
   files whose header names none;
2. the map of the user: an old name, equal or alike (`isotone.imaging.dicom.scanner_name`), becomes the new one; of a
name
   that holds a software version, the map of exactly this version goes first;
3. names of headers that are alike become one: a name that the manifest states, else the most frequent spelling, without
   its software version where several versions meet;
4. the attributes that split what one name hides: ``NAME [intent FOR PROCESSING; view CC]``. What may be free text is
   there as a hash alone; a name that has the attributes already stays;
5. the map once more, for names that were split.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from isotone.errors import UsageError
from isotone.imaging.dicom.header_values import hashed
from isotone.imaging.dicom.scanner_name import bare, key_of, nearest, same_scanner, without_version
from isotone.imaging.radiograph import Header

ATTRIBUTES: dict[str, Callable[[Header], str | None]] = {
    "body-part": lambda header: header.body_part,
    "depth": lambda header: str(header.bits_stored),
    "detector": lambda header: header.detector and header.detector[:8],
    "intent": lambda header: header.intent,
    "laterality": lambda header: header.laterality,
    "modality": lambda header: header.modality,
    "processing": lambda header: _hash(header.processing),
    "software": lambda header: _hash(" ".join(filter(None, [header.software, header.version])) or None),
    "station": lambda header: _hash(header.station),
    "view": lambda header: header.view,
}
"""What may split a domain, and its value; detector, processing, software and station are hashes of 8 hexadecimals."""
LISTED = 6
"""Known scanners that a message lists; of more it names the nearest alone."""
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Naming:
    """What a user says of the names of domains.

    Attributes
    ----------
    renamed : mapping of str to str
        Old name → new name.
    by : tuple of str
        Keys of `ATTRIBUTES`.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()

    @classmethod
    def of(cls, domain_map: Mapping[str, str] | None = None, domain_by: Sequence[str] = ()) -> Self:
        """From what a caller gives.

        Raises
        ------
        UsageError
            An unknown attribute, or an empty name.
        """
        for name in domain_by:
            if name not in ATTRIBUTES:
                raise UsageError(f"no attribute {name!r}", next_step=f"Use one or more of: {', '.join(ATTRIBUTES)}.")
        if any(not name.strip() for pair in (domain_map or {}).items() for name in pair):
            raise UsageError("a domain map has an empty name", next_step="Write OLD=NEW.")
        return cls(dict(domain_map or {}), tuple(sorted(set(domain_by))))

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """What `to_json` gives.

        Raises
        ------
        ValueError
            An unknown attribute.
        """
        if not set(body["by"]) <= ATTRIBUTES.keys():
            raise ValueError("an unknown attribute")
        return cls(body["map"], tuple(body["by"]))

    def to_json(self) -> dict[str, Any]:
        """As a model holds it."""
        return {"map": dict(sorted(self.renamed.items())), "by": list(self.by)}

    def parts(self, header: Header) -> tuple[str, ...]:
        """The values of the attributes, as names show them."""
        return tuple(f"{name} {ATTRIBUTES[name](header) or NOT_STATED}" for name in self.by)

    def name(self, header: Header) -> str | None:
        """The name of one image's domain, without regard to others."""
        return header.domain and self.split(self.rename(header.domain), self.parts(header))

    def rename(self, name: str) -> str:
        """The new name of an old one; the old one where the map does not have it."""
        return self.renamed.get(self.entry(name) or name, name)

    def entry(self, name: str) -> str | None:
        """The old name by which the map has a name; None: it does not."""
        if name in self.renamed:
            return name
        return same_scanner(name, [old for old in self.renamed if without_version(old)[1] is None])

    def split(self, name: str, parts: Sequence[str]) -> str:
        """The name with the attributes that it does not have yet, renamed where the map has the whole."""
        whole = bare(name)
        before = [part for part in name[len(whole) :].strip(" []").split("; ") if part]
        have = {part.partition(" ")[0] for part in before}
        new = [part for part in parts if part.partition(" ")[0] not in have]
        if not new:
            return name
        split = f"{whole} [{'; '.join(sorted([*before, *new]))}]"
        return self.renamed.get(split, split)

    def is_split(self, name: str) -> bool:
        """Whether a name has every attribute."""
        return self.split(name, self.by) == name


@dataclass(frozen=True)
class KnownDomains:
    """The domains that a model knows, and how images came to their names when it was fitted.

    Attributes
    ----------
    names : tuple of str
    naming : Naming
    """

    names: tuple[str, ...]
    naming: Naming = field(default_factory=Naming)

    def find(self, name: str) -> str | None:
        """The known domain of a name: equal, alike, or, of a name that is split, the one that is not; None: unknown."""
        new = self.naming.rename(name)
        return same_scanner(new, self.names) or same_scanner(bare(new), self.names)

    def of(self, header: Header) -> str | None:
        """The known domain of an image; None: unknown."""
        if header.domain is None or header.domain in self.names:
            return header.domain
        return self.find(self.naming.name(header) or header.domain)

    def advice(self, name: str | None) -> str:
        """What to do about an unknown scanner; its own name stays out, since a header can hold anything."""
        if name is None:
            return f"Name the scanner with domain= ({', '.join(self.names)}), or fit a curve for it."
        own = [known for known in self.names if key_of(bare(known)) == key_of(bare(name))]
        if own:
            return f"Curves of this scanner are for other images of it ({', '.join(own)}): fit one for these."
        plain = list(dict.fromkeys(bare(known) for known in self.names))
        like = nearest(name, plain)
        if like is None:
            listed = f"Known are {', '.join(plain)}; none" if len(plain) <= LISTED else "None of the known scanners"
            return f"{listed} has a name like it: fit a curve for it."
        listed = f"Known are {', '.join(plain)}; the" if 1 < len(plain) <= LISTED else "The"
        return (
            f'{listed} nearest name is {like!r}: if it is that scanner, use .with_domain("{like}"); if not, fit a '
            "curve for it."
        )


def joined(named: Iterable[tuple[str, bool]]) -> dict[str, str]:
    """For each name that headers gave, the one of its scanner.

    Parameters
    ----------
    named : iterable of (str, bool)
        The name of each image, and whether the user stated it.
    """
    stated: dict[str, set[str]] = {}
    spelled: dict[str, Counter[str]] = {}
    for (name, is_stated), count in Counter(named).items():
        if is_stated:
            stated.setdefault(key_of(name), set()).add(name)
        else:
            spelled.setdefault(key_of(name), Counter())[name] += count
    found: dict[str, str] = {}
    for key, names in spelled.items():
        users = stated.get(key, set())
        one = next(iter(users)) if len(users) == 1 else _spelling(names)
        found |= dict.fromkeys(names, one)
    return found


def read_map(path: Path) -> dict[str, str]:
    """The pairs of a CSV file with two columns, old and new names; a first row ``old,new`` is a heading.

    Raises
    ------
    UsageError
        E_MANIFEST: not such a file, or one old name with two new ones.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeError, csv.Error):
        raise UsageError("not readable as CSV", code="E_MANIFEST", file=path) from None
    if rows and [cell.lower() for cell in rows[0]] == ["old", "new"]:
        rows = rows[1:]
    found: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not all(row) or found.setdefault(row[0], row[1]) != row[1]:
            raise UsageError(
                "a domain map has two columns, and each old name once",
                code="E_MANIFEST",
                file=path,
                next_step="Write an old name and its new one into each row.",
            )
    return found


def _spelling(names: Counter[str]) -> str:
    if len({without_version(name)[1] for name in names}) > 1:
        plain: Counter[str] = Counter()
        for name, count in names.items():
            plain[without_version(name)[0]] += count
        names = plain
    return min(names, key=lambda name: (-names[name], name))


def _hash(text: str | None) -> str | None:
    return None if text is None else hashed(text)[:8]
