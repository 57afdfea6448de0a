"""What fitting again shows: whether a gain comes from labels in disguise, and how many source images it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from isotone._runtime.run_options import FitKeywords, RunOptions
from isotone.curves.tone_curve import ToneCurve
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, UsageError
from isotone.estimation.report import FitReport
from isotone.evaluation.metric_table import PAIRED
from isotone.evaluation.observations import gather
from isotone.evaluation.predict import Transform
from isotone.evaluation.resampled import Resampled
from isotone.evaluation.results import Leakage, LearningPoint
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph

SIZES = (5, 10, 25, 50, 100, 200)
"""Source images of the learning curve."""
SWAPPED, SHUFFLED = "curve swap", "label shuffle"


@dataclass(frozen=True)
class Swapped:
    """Gives every image the curve of another image of its scanner: a gain that is the scanner's remains."""

    harmonizer: ToneCurveHarmonizer
    curves: Mapping[str, Sequence[ToneCurve]]

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image through the curve of another, chosen by its own pixels."""
        mine = self.harmonizer.curve(radiograph)
        others = list(self.curves.get(radiograph.header.domain or "", ()))
        if mine in others:
            others.remove(mine)  # its own; what remains of its kind are other images of its mode
        if not others:
            return radiograph.map_tone(mine)
        return radiograph.map_tone(others[int(radiograph.stored.sum(dtype=np.int64)) % len(others)])


def refit_checks(
    manifest: Manifest,
    classifier: Any,
    harmonizers: Mapping[str, Any],
    *,
    run: RunOptions,
) -> tuple[list[Leakage], list[LearningPoint], list[str]]:
    """Swap curves, fit with shuffled labels, fit on fewer images; score all of it in one pass.

    Parameters
    ----------
    manifest : Manifest
        With a split in every row.
    classifier : Classifier
    harmonizers : mapping of name to object
        Those that are no `ToneCurveHarmonizer` cannot be fitted again and are passed over.
    run : RunOptions

    Returns
    -------
    leakage : list of Leakage
    learning : list of LearningPoint
    notes : list of str
        One sentence for each fit that failed.
    """
    ours = {name: h for name, h in harmonizers.items() if isinstance(h, ToneCurveHarmonizer)}
    sources = sorted({d for h in ours.values() for d in h.source_domains} & set(manifest.domains))
    if not sources:
        return [], [], []
    try:
        tested = manifest.select(domains=sources, splits=["test"], labelled=True)
    except UsageError:
        return [], [], ["Nothing was fitted again: no test image of a source scanner is left."]
    tested = Manifest(tested.table.drop(columns="oracle_path", errors="ignore"))
    methods: dict[str, Transform] = dict(ours)
    sizes: dict[str, dict[str, int]] = {}
    notes: list[str] = []
    for name, harmonizer in ours.items():
        methods[f"{name}, {SWAPPED}"] = Swapped(harmonizer, _curves(harmonizer, tested, run))
        wanted = {f"{name}, {SHUFFLED}": shuffled(manifest, harmonizer, run.seed)} if harmonizer.labels == "all" else {}
        for size in SIZES:
            fewer, counts = subset(manifest, harmonizer, size, run.seed)
            if counts:
                wanted[f"{name}, {size} images"] = fewer
                sizes[f"{name}, {size} images"] = counts
        for title, rows in wanted.items():
            try:
                methods[title] = _again(harmonizer, rows, classifier, run)
            except IsotoneError as error:
                notes.append(f"{title}: the fit failed: {error.what}.")
    scores = gather(tested, classifier, methods, run=replace(run, on_refusal=None)).scores
    resampled = Resampled(scores, seed=run.seed)
    return (
        [row for name in ours for row in _leakage(resampled, name)],
        [point for title, counts in sizes.items() for point in _learning(resampled, title, counts)],
        notes,
    )


def shuffled(manifest: Manifest, harmonizer: ToneCurveHarmonizer, seed: int) -> Manifest:
    """The labels of the source rows of train and val dealt anew within each domain and split."""
    table, rng = manifest.table.copy(), np.random.default_rng(seed)
    chosen = table[table["domain"].isin(harmonizer.source_domains) & table["split"].isin(["train", "val"])]
    for _, part in chosen.groupby(["domain", "split"]):
        table.loc[part.index, "label"] = rng.permutation(part["label"].to_numpy())
    return Manifest(table)


def subset(
    manifest: Manifest, harmonizer: ToneCurveHarmonizer, size: int, seed: int
) -> tuple[Manifest, dict[str, int]]:
    """All reference rows, and `size` train and val images of each source domain, patient after patient.

    Larger subsets contain the smaller ones. Domains with no more images than `size` keep all and are not counted.

    Returns
    -------
    Manifest
    dict of domain to int
        Images in it, for the domains that lost some.
    """
    table, counts = manifest.table, {}
    keep = ~table["domain"].isin(harmonizer.source_domains)
    for domain in harmonizer.source_domains:
        part = table[(table["domain"] == domain) & table["split"].isin(["train", "val"])]
        taken = _first_patients(part, size, seed)
        keep.loc[taken] = True
        if len(taken) < len(part):
            counts[domain] = len(taken)
    return Manifest(table[keep]), counts


def _first_patients(part: pd.DataFrame, size: int, seed: int) -> list[int]:
    """Rows of `size` images, patients shuffled, train and val in their proportion."""
    taken: list[int] = []
    val = (part["split"] == "val").sum()
    held = min(max(round(size * val / len(part)), int(val > 0)), size - 1)
    for split, rows in part.groupby("split"):
        wanted = held if split == "val" else size - held
        groups = rows["patient_id"].fillna("row " + rows["path"])
        order = np.random.default_rng(seed).permutation(groups.unique())
        ranked = groups.map({p: k for k, p in enumerate(order)}).sort_values(kind="stable")
        taken += [int(i) for i in ranked.index[:wanted]]
    return taken


def _again(harmonizer: ToneCurveHarmonizer, rows: Manifest, classifier: Any, run: RunOptions) -> ToneCurveHarmonizer:
    fresh = ToneCurveHarmonizer(
        harmonizer.reference_domains,
        [d for d in harmonizer.source_domains if d in rows.domains],
        method=harmonizer.method,
        settings=harmonizer.settings,
    )
    device = str(getattr(classifier, "device", "cpu"))
    reports = [scanner.report for scanner in harmonizer.scanners.values()]
    mix = next((r.mix for r in reports if isinstance(r, FitReport) and r.mix_from == "stated"), None)
    how: FitKeywords = {"seed": run.seed, "device": device, "workers": run.workers, "quiet": run.quiet}
    return fresh.fit(rows, classifier, labels=harmonizer.labels, mix=mix, **how)


def _curves(harmonizer: ToneCurveHarmonizer, tested: Manifest, run: RunOptions) -> dict[str, list[ToneCurve]]:
    """The test images' curves, by domain."""
    curves: dict[str, list[ToneCurve]] = {}
    for row, curve in map_images(list(tested), harmonizer.curve, label="curves", workers=run.workers, quiet=run.quiet):
        if isinstance(curve, ToneCurve):
            curves.setdefault(row.domain or "", []).append(curve)
    return curves


def _leakage(resampled: Resampled, name: str) -> list[Leakage]:
    found = []
    titles = {"gain": name, "swapped": f"{name}, {SWAPPED}", "shuffled": f"{name}, {SHUFFLED}"}
    for domain in resampled.scores.domains:
        for metric in PAIRED:
            numbers: dict[str, Any] = {}
            for field, title in titles.items():
                inside = resampled.both(domain, title)
                if inside.any():
                    gain = resampled.gain(metric, title, inside)
                    numbers |= {field: gain.point} | ({f"{field}_ci": gain.ci} if title != name else {})
            if "gain" in numbers:
                found.append(Leakage(domain=domain, method=name, metric=metric.field, **numbers))
    return found


def _learning(resampled: Resampled, title: str, counts: Mapping[str, int]) -> list[LearningPoint]:
    points = []
    for domain, images in counts.items():
        inside = resampled.both(domain, title)
        if inside.any():
            numbers: dict[str, Any] = {}
            for metric in PAIRED:
                estimate = resampled.estimate(metric, title, inside)
                numbers |= {metric.field: estimate.point, f"{metric.field}_ci": estimate.ci}
            points.append(LearningPoint(domain=domain, method=title.rsplit(", ", 1)[0], images=images, **numbers))
    return points
