"""Which rule an image falls under: the first that fits its scanner, SOP class and body part."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from isotone.imaging.radiograph import Header
from isotone.serving.node_settings import Rule


def choose(rules: Sequence[Rule], sop_class: str, header: Header | None) -> int | None:
    """The number of the first rule that fits; None: none does.

    Parameters
    ----------
    rules : sequence of Rule
    sop_class : str
    header : Header or None
        None: the object has none that can be read; rules that ask for a scanner or body part do not fit it.
    """
    return next((number for number, rule in enumerate(rules) if _fits(rule, sop_class, header)), None)


def _fits(rule: Rule, sop_class: str, header: Header | None) -> bool:
    scanner = "" if header is None else (header.domain or "")
    body_part = "" if header is None else (header.body_part or "")
    return (
        (not rule.sop_class or sop_class in rule.sop_class)
        and (not rule.scanner or any(fnmatchcase(scanner.lower(), pattern.lower()) for pattern in rule.scanner))
        and (not rule.body_part or body_part.lower() in {part.lower() for part in rule.body_part})
    )
