"""What a harmonizer has seen of a scanner: a model name is not a scanner.

The rule, for an image of a known domain: another modality, intent or bit depth is refused, since the curve was never
meant for such data; another software version, detector, view, body part or window is warned of, since it may change the
response but often does not. What the fit did not know (a raster file has no header) is not compared.

A model travels farther than its images, so it holds codes and numbers alone (`isotone.imaging.dicom.header_values`),
and of what may be free text, such as the software version, a hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.dicom.header_values import BODY_PARTS, INTENTS, MODALITIES, VIEWS, coded, hashed
from isotone.imaging.dicom.scanner_name import without_version
from isotone.imaging.radiograph import Header
from isotone.monitoring.guards import Guard, how_to_allow

REFUSED: dict[str, tuple[str, Guard]] = {
    "intent": ("E_INTENT", "intent"),
    "modality": ("E_OOD", "modality"),
    "bits_stored": ("E_OOD", "depth"),
}
"""By fact: the code of the refusal, and the guard that it is."""
SAYABLE = {"intent": INTENTS, "modality": MODALITIES, "bits_stored": [str(bits) for bits in range(1, 17)]}
"""Values of these that messages show."""
KINDS = {"modality": ("modality", "modality"), "bits_stored": ("bit depth", "depth")}
"""Facts of which one fit had better have one value: what they are called, and the attribute that splits by them."""
WARNED = ("software", "version", "detector", "view", "body_part", "window")
CODES = {"version": "software"}
"""Facts whose warning has another's code."""

HeaderFacts = Mapping[str, Mapping[str, int]]
"""For each fact the values met in the fit and how many images had each."""
NONE = "none"
"""What is recorded of a scanner's name without a software version in it."""


def seen_in(headers: Iterable[Header]) -> dict[str, dict[str, int]]:
    """Count the facts of the images of a fit."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*REFUSED, *WARNED)}
    for header in headers:
        for name, counter in counts.items():
            value = getattr(header, name)
            if name == "version" and header.format == "dicom":
                value = value or NONE  # so that a model knows that names had none
            if value is not None:
                counter[_recorded(name, value)] += 1
    return {name: dict(sorted(counter.items())) for name, counter in counts.items() if counter}


def recoded(seen: HeaderFacts) -> HeaderFacts:
    """What models of earlier builds have seen: they hold views and body parts that are no defined terms."""
    terms = {"view": VIEWS, "body_part": BODY_PARTS}
    return {
        name: {str(coded(value, terms[name])) if name in terms else value: n for value, n in counts.items()}
        for name, counts in seen.items()
    }


def refuse_other_data(header: Header, seen: HeaderFacts, allow: Collection[str] = ()) -> None:
    """Refuse data of a kind that the fit did not meet, guards in `allow` (`isotone.monitoring.guards`) apart.

    Raises
    ------
    RadiographError
        E_INTENT or E_OOD by the rule of this module.
    """
    for name, (code, guard) in REFUSED.items():
        if guard not in allow and _is_new(header, name, seen):
            raise RadiographError(
                code,
                f"{name} is {_said(name, getattr(header, name))}, "
                f"the curve was fitted on {' and '.join(_said(name, value) for value in seen[name])}",
                file=header.path,
                next_step=f"Use a model fitted on such images; {how_to_allow(guard)}",
            )


def differences(header: Header, seen: HeaderFacts, domain: str | None = None) -> tuple[str, ...]:
    """Warnings ``W_SEEN_…`` for facts that the fit did not meet.

    The values themselves stay out: a free-text field of a header may hold anything. A software version within the
    model's name is W_SEEN_SOFTWARE, too; for models that do not record it, the name of the `domain` tells.
    """
    of_name = None if domain is None else without_version(domain)[1]
    if "version" not in seen and of_name is not None:
        seen = {**seen, "version": {hashed(of_name): 1}}
    codes = (f"W_SEEN_{CODES.get(name, name).upper()}" for name in WARNED if _is_new(header, name, seen))
    return tuple(dict.fromkeys(codes))


def refuse_mixed_intents(headers: Iterable[Header], domain: str) -> None:
    """Refuse to fit one curve to images FOR PROCESSING and FOR PRESENTATION.

    Raises
    ------
    IsotoneError
        E_INTENT.
    """
    counts = Counter(header.intent for header in headers if header.intent is not None)
    if len(counts) > 1:
        found = " and ".join(f"{count} images {_said('intent', name)}" for name, count in sorted(counts.items()))
        raise IsotoneError(
            "E_INTENT",
            f"{domain!r} has {found}, which are two populations",
            next_step='Leave one kind out, or fit each by its own curve with domain_by=["intent"].',
        )


def mixed(headers: Iterable[Header], whose: str) -> list[str]:
    """Warnings for a fit whose images differ in modality or bit depth, which may have responses of their own.

    Parameters
    ----------
    headers : iterable of Header
    whose : str
        The images, as the sentence calls them.
    """
    known = list(headers)
    said = []
    for name, (what, option) in KINDS.items():
        counts = Counter(getattr(header, name) for header in known)
        del counts[None]
        if len(counts) > 1:
            found = ", ".join(f"{count} of {_said(name, value)}" for value, count in sorted(counts.items()))
            said.append(f'W_MIXED {whose} differ in {what} ({found}); domain_by=["{option}"] tells them apart')
    return said


def _is_new(header: Header, name: str, seen: HeaderFacts) -> bool:
    value = getattr(header, name)
    if value is None or name not in seen:
        return False
    # Models of earlier versions hold the software version itself.
    return _recorded(name, value) not in seen[name] and str(value) not in seen[name]


def _recorded(name: str, value: object) -> str:
    """A value as the model holds it."""
    text = value if isinstance(value, str) else str(value)
    return hashed(text) if name in ("software", "version") else text


def _said(name: str, value: object) -> str:
    """A value as a message shows it: headers hold anything, and so do models of earlier versions."""
    return str(value) if str(value) in SAYABLE[name] else "an unknown value"
