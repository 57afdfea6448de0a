"""Do today's images still look like those of the fit? For whoever watches a model in use.

What it can tell: that grey levels changed in a way that neither the class mix nor the anatomy in view explains
(another response), that the layout changed (another view, field of view, processing or population), that single
images do not belong here, and that a header names what the fit did not meet. What it cannot: a change that is small
beside the spread between images, one that looks exactly like another mix of the reference's classes, or its cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isotone.data.descriptors.appearance import SIZE
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, RadiographError, UsageError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.header_novelty import refuse_other_data
from isotone.monitoring.novelty import BATCH, LAYOUT_LIMIT, Novelty
from isotone.monitoring.response_drift import ResponseDrift

Floats = NDArray[np.float64]

OUTSIDE = 0.05
"""Share of images outside the limit that is still ordinary."""
CHANCE = 0.01
"""That so many lie outside by accident, below which a batch differs."""
TONE_CHANCE = 0.05
"""That a batch of the same response deviates so far in tone, below which it differs."""


Outcome = Literal["alike", "drift", "unknown", "unreadable"]
EXIT_CODES: dict[Outcome, int] = {"alike": 0, "unreadable": 1, "drift": 3, "unknown": 4}


@dataclass(frozen=True)
class Verdict:
    """What is said of the images of one domain.

    Attributes
    ----------
    domain : str
    images, outside : int
        Compared; of these, unlike the fit one by one.
    layout, chance : float or None
        Of the rest as a batch: how far its layout is from that of the fit (`isotone.monitoring.novelty`), and the
        probability that the same response makes it deviate so far in tone (`isotone.monitoring.response_drift`). None:
        too few images, or nothing to compare them with.
    differences : tuple of str
        In plain words; empty where nothing differs.
    """

    domain: str
    images: int
    outside: int
    layout: float | None = None
    chance: float | None = None
    differences: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line for people."""
        batch = f"no batch test below {BATCH} images"
        if self.layout is not None:
            tone = "not compared" if self.chance is None else f"chance {self.chance:.2g}, limit {TONE_CHANCE}"
            batch = f"tone {tone}, layout {self.layout:.1f} of {LAYOUT_LIMIT}"
        few = f"nothing found in {self.images} images; too few for the batch test"
        alike = few if self.layout is None and self.images < BATCH else "as in the fit"
        verdict = f"DIFFERENT: {'; '.join(self.differences)}" if self.differences else alike
        return f"{self.domain}: {verdict} ({self.images} images, {self.outside} outside, {batch})"

    def to_json(self) -> dict[str, object]:
        """The fields of a verdict in the output for programs (``docs/json.md``)."""
        return {
            "domain": self.domain,
            "status": "different" if self.differences else "alike",
            "images": self.images,
            "outside": self.outside,
            "tone_chance": self.chance,
            "tone_limit": TONE_CHANCE,
            "layout": self.layout,
            "layout_limit": LAYOUT_LIMIT,
            "differences": list(self.differences),
        }


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes
    ----------
    verdicts : list of Verdict
        One for each source domain.
    refused : list of IsotoneError
        The images that `apply` would refuse.
    images, reference : int
        How many came, and how many more of the reference, which are not compared.
    """

    verdicts: list[Verdict]
    refused: list[IsotoneError]
    images: int = 0
    reference: int = 0

    @property
    def unknown(self) -> int:
        """How many images are of a scanner without a curve."""
        return sum(error.code == "E_DOMAIN" for error in self.refused)

    @property
    def outcome(self) -> Outcome:
        """The worst that was found; single images that look odd are left to chance.

        "drift": a scanner's images differ. "unknown": else, images of scanners without a curve. "unreadable": else,
        files that could not be compared. "alike": none of these.
        """
        if any(v.differences for v in self.verdicts) or any(e.code == "E_INTENT" for e in self.refused):
            return "drift"
        if self.unknown:
            return "unknown"
        return "unreadable" if any(e.code != "E_OOD" for e in self.refused) else "alike"

    @property
    def exit_code(self) -> int:
        """0 alike, 1 unreadable, 3 drift, 4 unknown."""
        return EXIT_CODES[self.outcome]

    def to_json(self) -> dict[str, object]:
        """The fields of the summary in the output for programs (``docs/json.md``)."""
        return {
            "command": "check",
            "outcome": self.outcome,
            "images": self.images,
            "reference": self.reference,
            "refused": len(self.refused),
            "unknown": self.unknown,
            "exit_code": self.exit_code,
        }


def check(harmonizer: ToneCurveHarmonizer, manifest: Manifest, *, workers: int = 1, quiet: bool = False) -> CheckReport:
    """Compare images with those that a harmonizer was fitted on; reference images are left out.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    manifest : Manifest
    workers : int
        Processes that read images; 0: this one.
    quiet : bool
        No progress bar.

    Raises
    ------
    UsageError
        Nothing but reference images.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv").select(domains=["Birch Mammo Two"])
    >>> report = isotone.check(isotone.ToneCurveHarmonizer.load("harmonizer"), manifest, quiet=True)
    >>> report.outcome, report.exit_code
    ('alike', 0)
    """
    manifest = manifest.called(harmonizer.known, workers=workers)
    rows = [row for row in manifest if row.domain not in harmonizer.reference_domains]
    if not rows:
        raise UsageError("there is no image of a source domain to check")
    watch = Watch(harmonizer)
    refused: list[IsotoneError] = []
    for row, seen in map_images(rows, _Glance(harmonizer), workers=workers, label="checking", quiet=quiet):
        if isinstance(seen, IsotoneError):
            watch.refuse(row.domain, seen)
            refused.append(seen)
            continue
        if seen.refusal is not None:
            watch.refuse(seen.domain, seen.refusal)
            refused.append(seen.refusal)
            continue
        watch.add(seen.domain, seen.look, seen.warnings)
        scanner = harmonizer.scanners.get(seen.domain)
        novelty = None if scanner is None or seen.look is None else scanner.novelty
        complaint = None if seen.look is None or novelty is None else novelty.complaint(seen.look)
        if complaint is not None:
            refused.append(RadiographError("E_OOD", complaint, file=row.path))
    return CheckReport(watch.verdicts(), refused, len(rows), len(manifest) - len(rows))


class Batch:
    """What the looks of one domain's images add up to; the looks themselves are not kept.

    Parameters
    ----------
    gate : Novelty or None
        None: every image is as in the fit.

    Attributes
    ----------
    images, outside : int
        How many came, and how many of these are unlike the fit.
    """

    def __init__(self, gate: Novelty | None) -> None:
        self._gate = gate
        self._total: Floats | None = None
        self.images = self.outside = 0

    def add(self, look: Floats) -> None:
        """Count an image."""
        self.images += 1
        if self._gate is not None and self._gate.complaint(look) is not None:
            self.outside += 1
        else:
            self._total = look if self._total is None else self._total + look

    @property
    def inside(self) -> int:
        """How many are not unlike the fit."""
        return self.images - self.outside

    @property
    def mean(self) -> Floats:
        """The mean look of these, of which there must be one."""
        return np.asarray(self._total) / self.inside


class Watch:
    """Counts what is seen of each source domain, one image after the other, in constant memory."""

    def __init__(self, harmonizer: ToneCurveHarmonizer) -> None:
        self._harmonizer = harmonizer
        self._looks: dict[str | None, Batch] = {}
        self._facts: dict[str | None, Counter[str]] = {}
        self._outside: Counter[str | None] = Counter()

    def add(self, domain: str | None, look: Floats | None, warnings: Sequence[str] = ()) -> None:
        """Note an image: its look, and the codes of what its header has new."""
        batch = self._batch(domain)
        if look is not None:
            batch.add(look)
        self._facts.setdefault(domain, Counter()).update(warnings)

    def refuse(self, domain: str | None, error: IsotoneError) -> None:
        """Note a refusal; it counts where it says that the image is unlike the fit."""
        if error.code in ("E_OOD", "E_INTENT"):
            self._outside[domain] += 1

    def verdicts(self) -> list[Verdict]:
        """A verdict for each source domain of which an image was met."""
        return [
            judge(
                domain,
                None if (scanner := self._harmonizer.scanners.get(domain)) is None else scanner.novelty,
                None if scanner is None else scanner.drift,
                self._batch(domain),
                refused=self._outside[domain],
                facts=[f"{n} images with {code}" for code, n in sorted(self._facts.get(domain, Counter()).items())],
            )
            for domain in self._harmonizer.source_domains
            if domain in self._looks or self._outside[domain]
        ]

    def _batch(self, domain: str | None) -> Batch:
        if domain not in self._looks:
            scanner = None if domain is None else self._harmonizer.scanners.get(domain)
            self._looks[domain] = Batch(None if scanner is None else scanner.novelty)
        return self._looks[domain]


def judge(
    domain: str,
    gate: Novelty | None,
    drift: ResponseDrift | None,
    batch: Batch,
    *,
    refused: int = 0,
    facts: Sequence[str] = (),
) -> Verdict:
    """Compare the looks of a domain's images with those of its fit.

    Parameters
    ----------
    domain : str
    gate : Novelty or None
        None: the facts alone are judged.
    drift : ResponseDrift or None
        None: tone is not compared.
    batch : Batch
        Looks as `ToneCurveHarmonizer.look` gives them, by the same gate.
    refused : int
        Images known to be unlike the fit, whose looks are not in the batch.
    facts : sequence of str
        Further differences.
    """
    if gate is None:
        return Verdict(domain, batch.images, refused, differences=tuple(facts))
    images, outside = batch.images + refused, batch.outside + refused
    differences = list(facts)
    if special.bdtrc(outside - 1, images, OUTSIDE) < CHANCE:
        differences.insert(0, f"{outside} of {images} images look unlike those of the fit")
    if images < BATCH or batch.inside < BATCH // 2:
        return Verdict(domain, images, outside, differences=tuple(differences))
    mean = batch.mean
    layout = gate.layout_of(mean, batch.inside)
    if layout > LAYOUT_LIMIT:
        differences.insert(0, "another anatomy, view, field of view or processing")
    chance = None if drift is None else drift.chance_of(mean[SIZE + 1 :], batch.inside)
    if chance is not None and chance < TONE_CHANCE:
        differences.insert(0, "another response")
    return Verdict(domain, images, outside, layout, chance, tuple(differences))


@dataclass(frozen=True)
class _Seen:
    domain: str
    look: Floats | None = None
    warnings: tuple[str, ...] = ()
    refusal: IsotoneError | None = None


@dataclass(frozen=True)
class _Glance:
    harmonizer: ToneCurveHarmonizer

    def __call__(self, radiograph: Radiograph) -> _Seen:
        header = radiograph.header
        self.harmonizer.mapper(header)  # refuses unknown scanners
        domain = self.harmonizer.domain_of(header) or ""
        scanner = self.harmonizer.scanners.get(domain)
        self.harmonizer.refuse_other_rule(domain)
        try:
            refuse_other_data(header, {} if scanner is None else scanner.headers)
        except IsotoneError as error:  # with the domain, which the row need not name
            return _Seen(domain, refusal=error)
        return _Seen(domain, self.harmonizer.look(radiograph), self.harmonizer.warnings(header))
