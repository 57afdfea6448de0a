"""When two names are of one scanner: the rule by which headers and models are compared.

Two names are alike when their keys are equal. The key is the name without what writers of headers vary:

* case, blanks, punctuation, quotation marks, trade marks, and Unicode's several forms of one letter (NFKC); a plus sign
  stays, and so does the boundary between two numbers (``DRX 1 2`` is not ``DRX 12``);
* legal forms of companies (`LEGAL_FORMS`): ``HOLOGIC, Inc.`` is ``HOLOGIC``;
* the software version that some vendors write into the model's name (`VERSION`): ``Senographe Essential VERSION
  ADS_54.10`` is ``Senographe Essential``.

Nothing else is guessed. A company that changed its name (``LORAD``, ``HOLOGIC``; ``GE MEDICAL SYSTEMS``, ``GE
Healthcare``) keeps two names, since a new company may well have changed the response: the user joins them, if they are
one, by a domain map. A number without a letter, a point or a word before it is part of the model (``Mammomat 3000``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from functools import lru_cache

LEGAL_FORMS = ("inc", "incorporated", "corp", "corporation", "ltd", "limited", "gmbh", "llc", "co ltd", "co inc")
"""Words that say what kind of company it is, in lower case without points; AG, SA and BV could be parts of a model."""
_NUMBER = r"\d+(?:[._]\d+)*[a-z]?\d*"
VERSION = re.compile(
    rf"""
    # VERSION ADS_54.10
    \b(?:version|ver\.?|release|rel\.?|software|sw|build)[\s:=_]*(?:[a-z]{{1,5}}[_-]?)?{_NUMBER}(?!\w)
    | \b[a-z]{{2,5}}_\d+(?:\.\d+)+[a-z]?(?!\w)  # ADS_17.4.5
    | \bv\.?\s?\d+(?:\.\d+)+[a-z]?(?!\w)      # v3.1, V 2.0.1
    | (?<![\w.])\d+(?:\.\d+){{2,}}[a-z]?(?!\w)  # 4.2.1
    | \bv[a-f]\d\d[a-z](?!\w)                  # VB30L, of Siemens
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A software version within a name. One point alone makes no version: ``Clarity 2.0`` may be another scanner."""


SPLIT = re.compile(r" \[[^][]*\]$")
"""What splits a name by further attributes (`isotone.data.manifests.domain_names`): it is compared as it is."""


def bare(name: str) -> str:
    """A name without what splits it: ``X [intent FOR PROCESSING]`` → ``X``."""
    return SPLIT.sub("", name)


def without_version(name: str) -> tuple[str, str | None]:
    """A name without the software version in it, and that version; None: it has none.

    Examples
    --------
    >>> without_version("Senographe Essential VERSION ADS_54.10")
    ('Senographe Essential', 'VERSION ADS_54.10')
    """
    whole = bare(name)
    found = [match.group() for match in VERSION.finditer(whole)]
    rest = " ".join(VERSION.sub(" ", whole).split()).strip(" ,;-/")
    if not found or not rest:
        return name, None
    return rest + name[len(whole) :], " ".join(found)


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """What is equal for two names of one scanner, by the rule of this module.

    Examples
    --------
    >>> key_of("HOLOGIC, Inc. Selenia Dimensions") == key_of("Hologic selenia  dimensions")
    True
    """
    whole = bare(name)
    plain = unicodedata.normalize("NFKC", without_version(whole)[0].translate(_MARKS)).casefold()
    words = "".join(c if c.isalnum() or c == "+" else "" if c in ".'" else " " for c in _points_kept(plain)).split()
    text = f" {' '.join(words)} "
    for form in sorted(LEGAL_FORMS, key=len, reverse=True):
        text = text.replace(f" {form} ", " ") if text.strip() != form else text
    key = re.sub(r"(?<!\d) | (?!\d)", "", text.strip()) or whole.strip()
    return key + name[len(whole) :].casefold()


_MARKS = dict.fromkeys(map(ord, "®™©"), " ")


def _points_kept(text: str) -> str:
    """A point between two digits parts numbers; another one only shortens a word."""
    return re.sub(r"(?<=\d)\.(?=\d)", " ", text)


def same_scanner(name: str, known: Iterable[str]) -> str | None:
    """The one of some names that is of the same scanner: equal, or the only one with an equal key."""
    names = list(known)
    if name in names:
        return name
    alike = [other for other in names if key_of(other) == key_of(name)]
    return alike[0] if len(alike) == 1 else None


ALIKE = 0.5
"""Ratio of `difflib` from which on names are alike. Of eleven pairs, models of one maker and spellings of one name have
0.50 and more; other makers have 0.1 to 0.3, but for "SIEMENS Mammomat" and "Philips Mammo" (0.52). Lower, a message
proposes the curve of another maker's scanner."""


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that reads most like a name; None where none reads like it."""
    key = key_of(name)
    alike = {other: SequenceMatcher(None, key, key_of(other)).ratio() for other in known}
    best = max(alike, key=alike.__getitem__, default=None)
    return None if best is None or alike[best] < ALIKE else best
