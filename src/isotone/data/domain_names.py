"""How images get the name of their domain: from the header or the manifest, renamed, and split by further attributes.

In this order, for each image:

1. the name: the manifest's column `domain`, else Manufacturer and ManufacturerModelName, else what the user says of
   files whose header names none;
2. the map of the user: an old name, equal or alike (`isotone.imaging.scanner_name`), becomes the new one; of a name
   that holds a software version, the map of exactly this version goes first;
3. names of headers that are alike become one: a name that the manifest states, else the most frequent spelling, without
   its software version where several versions meet;
4. the attributes that split what one name hides: ``NAME [intent FOR PROCESSING; view CC]``. What may be free text is
   there as a hash alone; a name that has the attributes already stays;
5. the map once more, for names that were split.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from isotone.errors import UsageError
from isotone.imaging.coded import INTENTS, MODALITIES, coded, hashed
from isotone.imaging.radiograph import Header
from isotone.imaging.scanner_name import key_of, same_scanner, without_version

ATTRIBUTES: dict[str, Callable[[Header], str | None]] = {
    "body-part": lambda header: coded(header.body_part),
    "depth": lambda header: str(header.bits_stored),
    "detector": lambda header: header.detector and header.detector[:8],
    "intent": lambda header: coded(header.intent, INTENTS),
    "laterality": lambda header: coded(header.laterality),
    "modality": lambda header: coded(header.modality, MODALITIES),
    "processing": lambda header: _hash(header.processing),
    "software": lambda header: _hash(" ".join(filter(None, [header.software, header.version])) or None),
    "station": lambda header: _hash(header.station),
    "view": lambda header: coded(header.view),
}
"""What may split a domain, and its value; detector, processing, software and station are hashes of 8 hexadecimals."""
NOT_STATED = "not stated"
SPLIT = re.compile(r" \[([^][]*)\]$")


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
    def of(cls, renamed: Mapping[str, str] | None, by: Sequence[str] = ()) -> Self:
        """From what a caller gives.

        Raises
        ------
        UsageError
            An unknown attribute, or an empty name.
        """
        for name in by:
            if name not in ATTRIBUTES:
                raise UsageError(f"no attribute {name!r}", next_step=f"Split by some of: {', '.join(ATTRIBUTES)}.")
        if any(not name.strip() for pair in (renamed or {}).items() for name in pair):
            raise UsageError("a domain map has an empty name", next_step="Write OLD=NEW.")
        return cls(dict(renamed or {}), tuple(sorted(set(by))))

    def parts(self, header: Header) -> tuple[str, ...]:
        """The values of the attributes, as names show them."""
        return tuple(f"{name} {ATTRIBUTES[name](header) or NOT_STATED}" for name in self.by)

    def rename(self, name: str) -> str:
        """The new name of an old one; the old one where the map does not have it."""
        if name in self.renamed:
            return self.renamed[name]
        plain = {old: new for old, new in self.renamed.items() if without_version(old)[1] is None}
        old = same_scanner(name, plain)
        return name if old is None else plain[old]

    def split(self, name: str, parts: Sequence[str]) -> str:
        """The name with the attributes that it does not have yet, renamed where the map has the whole."""
        found = SPLIT.search(name)
        before = found[1].split("; ") if found else []
        have = {part.partition(" ")[0] for part in before}
        new = [part for part in parts if part.partition(" ")[0] not in have]
        if not new:
            return name
        bare = name[: found.start()] if found else name
        whole = f"{bare} [{'; '.join(sorted([*before, *new]))}]"
        return self.renamed.get(whole, whole)

    def is_split(self, name: str) -> bool:
        """Whether a name has every attribute."""
        return self.split(name, self.by) == name


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


def _spelling(names: Counter[str]) -> str:
    if len({without_version(name)[1] for name in names}) > 1:
        plain: Counter[str] = Counter()
        for name, count in names.items():
            plain[without_version(name)[0]] += count
        names = plain
    return min(names, key=lambda name: (-names[name], name))


def _hash(text: str | None) -> str | None:
    return None if text is None else hashed(text)[:8]
