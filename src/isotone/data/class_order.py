"""In what order classes stand, and whether that order means anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import ascii_uppercase

NUMBERED = re.compile(r"([^\d]*?)((?:^[-+])?\d+(?:\.\d+)?)(.*)", re.DOTALL)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Each label once, in the order in which a classifier that is trained on them lists its classes.

    Numbered labels stand in the order of their numbers (`1`, `2`, `10`; `BI-RADS 1`, `BI-RADS 2`; `0 low`, `1 medium`),
    all others in that of their letters.
    """
    distinct = sorted(set(labels))
    ranks = ordinal_ranks(distinct)
    return tuple(
        distinct if ranks is None else sorted(distinct, key=dict(zip(distinct, ranks, strict=True)).__getitem__)
    )


def ordinal_ranks(classes: Sequence[str]) -> list[int] | None:
    """The place of each class in an order that the labels state, from 0; None where they state none.

    They state one where each has a number, no two the same one, behind the same text (none, or `BI-RADS `), or where
    they are the first letters of the alphabet (`A` to `D`). Words such as `low`, `medium`, `high` state none: to order
    them, number them (`0 low`, `1 medium`, `2 high`).

    Parameters
    ----------
    classes : sequence of str
        All different.
    """
    letters = [label.strip().upper() for label in classes]
    if sorted(letters) == list(ascii_uppercase[: len(classes)]):
        return [ascii_uppercase.index(letter) for letter in letters]
    found = [NUMBERED.fullmatch(label.strip()) for label in classes]
    numbers = [float(match[2]) for match in found if match]
    if len(set(numbers)) < len(classes) or len({match[1].strip().casefold() for match in found if match}) > 1:
        return None
    ordered = sorted(numbers)
    return [ordered.index(number) for number in numbers]
