"""What worker processes do for a node: everything that reads a stranger's image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isotone.data.images import time_limit
from isotone.deployment.deliver import Delivery, Job, Outcome
from isotone.deployment.deliver_states import LoneStateDelivery
from isotone.deployment.encoding import Encoding
from isotone.errors import IsotoneError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Header
from isotone.imaging.read import read_header
from isotone.serving.node_settings import Rule
from isotone.serving.rules import choose
from isotone.serving.transcode import Transcoding

UNKNOWN = "unknown"
"""Scanner of an object whose header names none that a rule's harmonizer knows; a stranger's text is kept nowhere."""


@dataclass(frozen=True)
class Harmonizing:
    """An object to be harmonized.

    Attributes
    ----------
    path : Path
    target : str
        Relative to the folder of derived objects.
    sop_class : str
    only_choose : bool
        Say which rule it falls under, and decode nothing: of an image that a codec crashed on.
    """

    path: Path
    target: str
    sop_class: str
    only_choose: bool = False


@dataclass(frozen=True)
class Made:
    """What became of it.

    Attributes
    ----------
    rule : int or None
        Number of its rule; None: none fits.
    scanner : str
        As the harmonizer calls it, or `UNKNOWN`.
    software : str or None
        SHA-256, first 8 hexadecimals, of SoftwareVersions.
    model : str
        SHA-256, first 12 hexadecimals, of the harmonizer.
    outcome : Outcome, IsotoneError or None
        None: no rule fits, or it was only to be chosen.
    """

    rule: int | None
    scanner: str = UNKNOWN
    software: str | None = None
    model: str = ""
    outcome: Outcome | IsotoneError | None = None


@dataclass(frozen=True)
class Labour:
    """Does a piece of work; sent to each worker once.

    Attributes
    ----------
    rules : sequence of Rule
    deliveries : sequence of Delivery or LoneStateDelivery
        One for each rule.
    """

    rules: Sequence[Rule]
    deliveries: Sequence[Delivery | LoneStateDelivery]

    @classmethod
    def of(cls, rules: Sequence[Rule], output: Path) -> Labour:
        """Load the harmonizers.

        Raises
        ------
        UsageError, ModelError
            A folder is missing or damaged.
        """
        models = {folder: ToneCurveHarmonizer.load(folder) for folder in {rule.harmonizer for rule in rules}}
        return cls(rules, [_delivery(rule, models[rule.harmonizer], output) for rule in rules])

    def __call__(self, work: Harmonizing | Transcoding) -> Made | None:
        """Do it.

        Raises
        ------
        IsotoneError
            A transcoding is refused; what is refused of harmonizing is in its result.
        """
        if isinstance(work, Transcoding):
            work.run()
            return None
        return self._harmonize(work)

    def _harmonize(self, work: Harmonizing) -> Made:
        header: Header | None = None
        with suppress(IsotoneError):
            header = read_header(work.path)
        number = choose(self.rules, work.sop_class, header)
        if number is None:
            return Made(None)
        delivery = self.deliveries[number]
        harmonizer = delivery.harmonizer
        domain = None if header is None else harmonizer.domain_of(header)
        known = domain in harmonizer.scanners or domain in harmonizer.reference_domains
        software = None if header is None or header.software is None else header.software
        facts = Made(
            number,
            domain if known and domain is not None else UNKNOWN,
            None if software is None else hashlib.sha256(software.encode(errors="replace")).hexdigest()[:8],
            harmonizer.digest[:12],
        )
        if work.only_choose:
            return facts
        outcome: Outcome | IsotoneError
        try:
            outcome = delivery(Job(work.path, None, work.target, ""))
        except IsotoneError as error:
            outcome = error
        return Made(facts.rule, facts.scanner, facts.software, facts.model, outcome)


def _delivery(rule: Rule, harmonizer: ToneCurveHarmonizer, output: Path) -> Delivery | LoneStateDelivery:
    if rule.deliver == "gsps":
        return LoneStateDelivery(harmonizer, output, frozenset(rule.allow))
    plain = Encoding(compress="none")  # which any receiver takes
    return Delivery(harmonizer, output, rule.deliver, frozenset(rule.allow), plain)


def seconds(work: Harmonizing | Transcoding) -> float:
    """Time limit of a piece of work."""
    return time_limit(work)
