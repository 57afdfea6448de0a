"""Before any fitting: how far each scanner lies from the reference, and whether a tone curve can help at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone._runtime.run_options import RunKeywords, RunOptions
from isotone.data.images import map_images
from isotone.data.manifests.domain_names import KnownDomains
from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.data.weak_classifier import weak_sentence
from isotone.errors import IsotoneError, UsageError
from isotone.evaluation.distance import grouped_auc
from isotone.evaluation.headline import listed
from isotone.evaluation.robustness import Degradation, degrade
from isotone.evaluation.training_overlap import Training
from isotone.evaluation.traits import Traits, traits

if TYPE_CHECKING:
    from rich.table import Table

Floats = NDArray[np.float64]

MOST = 200
"""Images of a domain that are looked at."""
LEAST = 20
"""With fewer images of a domain nothing is recommended."""
SEPARATE = 0.75
"""AUC of a probe from which on two scanners count as told apart by it."""
NEAR = 0.02
"""Mean shift of the tone, in shares of the full range, that counts as none; and the loss that counts as none."""


REFERENCE = ""
"""What all reference domains together are called here."""
Seen = tuple[Traits, int]
"""An image's traits, and a number for its patient."""


@dataclass(frozen=True)
class DomainAudit:
    """One source domain against the reference.

    Attributes
    ----------
    domain : str
    n : int
        Images looked at.
    fewest : int
        Images of the domain or of the reference, whichever has fewer.
    tone_distance : float
        Mean absolute difference of the mean foreground percentiles, in shares of the full range.
    tone_probe, matched_probe : float or None
        AUC of a probe that tells the scanner from foreground percentiles, as they are and after the pooled
        percentiles were matched: what is left then is no shift that one curve explains.
    texture_probe, field_probe : float or None
        The same from noise, sharpness and grain, and from the field of view: no tone curve changes these.
    header : list of str
        Facts of the header that the domain has and the reference lacks.
    """

    domain: str
    n: int
    fewest: int
    tone_distance: float
    tone_probe: float | None
    matched_probe: float | None
    texture_probe: float | None
    field_probe: float | None
    header: list[str]

    @property
    def advice(self) -> str:
        """Whether a tone curve may help, in one sentence."""
        if self.fewest < LEAST or self.tone_probe is None:
            return f"Too few images or patients to say anything ({self.fewest})."
        probes = {
            "noise or sharpness": self.texture_probe,
            "field of view": self.field_probe,
            "the mix of settings": self.matched_probe,
        }
        beyond = [name for name, auc in probes.items() if auc is not None and auc >= SEPARATE] + self.header
        if self.tone_probe < SEPARATE or self.tone_distance < NEAR:
            if beyond:
                return f"The difference is not in the tone but in {listed(beyond)}: a tone curve will not help."
            return "Its images look like the reference's already: a tone curve will not help."
        if beyond:
            return f"The tone differs, and so does {listed(beyond)}: fit a curve, and expect it to help in part."
        return "The tone differs and one curve explains it: fit a scanner curve."


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes
    ----------
    domains : list of DomainAudit
    degradation : list of Degradation
        Empty without a classifier or without labelled reference images.
    notes : list of str
    training : Training or None
        Which images were left out because the classifier was trained on them; None without a classifier.
    """

    domains: list[DomainAudit]
    degradation: list[Degradation]
    notes: list[str]
    training: Training | None = None

    @property
    def weak(self) -> str | None:
        """What is to be mended first: a classifier that barely tells its own classes; None of a better one."""
        if not self.degradation:
            return None
        untouched = self.degradation[0]
        return weak_sentence("untouched images of the reference", untouched.auc, untouched.auc_ci)

    @property
    def recommendation(self) -> str:
        """One sentence over all domains."""
        known = [d.loss_ci for d in self.degradation[1:] if d.loss_ci is not None]
        if known and max(high for _, high in known) < NEAR:
            return "This classifier hardly reacts to tone, so a tone curve will not help it."
        if len(self.domains) == 1:
            return self.domains[0].advice
        return " ".join(f"{d.domain}: {d.advice}" for d in self.domains)

    def table(self) -> Table:
        """For the terminal."""
        from rich.table import Table

        table = Table("domain", "n", "tone distance", "tone probe", "matched", "texture", "field of view", "header")
        for d in self.domains:
            probes = (d.tone_probe, d.matched_probe, d.texture_probe, d.field_probe)
            shown = ["–" if p is None else f"{p:.2f}" for p in probes]
            table.add_row(d.domain, str(d.n), f"{d.tone_distance:.3f}", *shown, "; ".join(d.header) or "alike")
        return table


def audit(
    manifest: Manifest,
    reference_domains: Sequence[str],
    classifier: Any = None,
    **options: Unpack[RunKeywords],
) -> Audit:
    """Compare every domain with the reference, without labels; with a classifier, see how it degrades.

    Parameters
    ----------
    manifest : Manifest
        At most `MOST` images of each domain are read, whatever their split: nothing is fitted.
    reference_domains : sequence of str
    classifier : Classifier, optional
        Tried on labelled reference images outside split train, but for those that its record (`trained_on`) holds,
        under changed responses.
    **options
        The fields of `isotone._runtime.run_options.RunOptions`: `seed`, `workers`, `quiet`, `on_refusal`.

    Raises
    ------
    UsageError
        A reference domain that the manifest lacks, or no other domain.
    IsotoneError
        E_DATA: no reference image could be read.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> found = isotone.audit(manifest, ["Alder Mammo One"], quiet=True)
    >>> [row.domain for row in found.domains]
    ['Birch Mammo Two', 'Cedar Mammo Three', 'Dogwood Mammo Four']
    >>> print(found.domains[0].advice)
    The tone differs and one curve explains it: fit a scanner curve.
    """
    manifest.select(domains=list(reference_domains))
    reference = KnownDomains(tuple(reference_domains))
    sources = [d for d in manifest.domains if reference.find(d) is None]
    if not sources:
        raise UsageError("the manifest has no domain besides the reference", code="E_MANIFEST")
    run = RunOptions(**options)
    looked, refused = _look(manifest, {d: (d if d in sources else REFERENCE) for d in manifest.domains}, run)
    if not looked[REFERENCE]:
        raise IsotoneError("E_DATA", "no image of the reference could be read")
    run.refuse(refused)
    notes = [f"{len(refused)} images could not be read and are left out."] if refused else []
    degradation, training = [], None
    if classifier is not None:
        training = Training.of(classifier)
        try:
            rows = with_splits(manifest).select(domains=list(reference_domains), splits=["val", "test"], labelled=True)
            degradation = degrade(rows, classifier, training, run=run)
        except IsotoneError as error:
            notes.append(f"The classifier was not tried under changed responses: {error.what}.")
    domains = [_against(d, looked[d], looked[REFERENCE], run.seed) for d in sources]
    return Audit(domains, degradation, notes, training)


def _look(
    manifest: Manifest, names: Mapping[str, str], run: RunOptions
) -> tuple[Mapping[str, list[Seen]], list[IsotoneError]]:
    """A sample of each group of domains, by the group's name, and what was refused."""
    table = manifest.table.dropna(subset=["domain"])
    order = np.random.default_rng(run.seed).permutation(len(table))
    group = table["domain"].map(names).iloc[order]
    chosen = sorted(i for _, part in group.groupby(group) for i in part.index[:MOST])
    sample = Manifest(table.loc[chosen])
    people = pd.factorize(sample.table["patient_id"].fillna("row " + sample.table["path"]))[0]
    looked: dict[str, list[Seen]] = defaultdict(list)
    refused: list[IsotoneError] = []
    read = map_images(list(sample), traits, workers=run.workers, label="looking", quiet=run.quiet)
    for (row, seen), person in zip(read, people, strict=True):
        if isinstance(seen, IsotoneError):
            refused.append(seen)
        else:
            looked[names[row.domain or ""]].append((seen, int(person)))
    return looked, refused


def _against(domain: str, source: Sequence[Seen], reference: Sequence[Seen], seed: int) -> DomainAudit:
    patients = [person for _, person in (*reference, *source)]
    which = np.repeat([0, 1], [len(reference), len(source)])

    def both(trait: str) -> tuple[Floats, Floats]:
        first, second = (np.array([getattr(t, trait) for t, _ in part]) for part in (reference, source))
        return first, second.reshape(-1, first.shape[1])

    def probe(first: Floats, second: Floats) -> float | None:
        return grouped_auc(np.concatenate([first, second]), which, patients, seed=seed) if len(second) else None

    tone = both("tone")
    matched = _matched(tone[1], tone[0]) if len(source) else tone[1]
    distance = float(np.abs(tone[1].mean(0) - tone[0].mean(0)).mean()) if len(source) else float("nan")
    found = (probe(*tone), probe(tone[0], matched), probe(*both("texture")), probe(*both("field")))
    header = [
        f"{name} {', '.join(sorted(only)) or 'not stated'}"
        for name in ("view", "intent", "modality")
        if (only := {getattr(t, name) for t, _ in source} - {getattr(t, name) for t, _ in reference})
    ]
    return DomainAudit(domain, len(source), min(len(source), len(reference)), distance, *found, header)


def _matched(source: Floats, reference: Floats) -> Floats:
    """Every percentile of every source image through the curve that joins the pooled percentiles."""
    q = np.linspace(0, 100, 101)
    x, y = np.percentile(source, q), np.percentile(reference, q)
    x, index = np.unique(x, return_inverse=True)
    return np.interp(source, x, np.bincount(index, y) / np.bincount(index))
