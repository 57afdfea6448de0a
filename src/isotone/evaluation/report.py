"""One self-contained page under a content-security policy that lets nothing in and nothing out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from isotone._runtime.files import write_text
from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.baselines.by_name import BASELINES
from isotone.curves.svg import STYLE, Panel
from isotone.data.class_order import ordinal_ranks
from isotone.evaluation.answer import answers, not_proven, question, simulated, unchanged
from isotone.evaluation.bootstrap import DRAWS
from isotone.evaluation.figures import before_and_after, panels, whisker, write_figures
from isotone.evaluation.headline import headline, hurt, keeping, lines, primary_method
from isotone.evaluation.metric_table import METRICS
from isotone.evaluation.observations import Material
from isotone.evaluation.page import content_policy, environment, template_text
from isotone.evaluation.predict import GRID, Transform
from isotone.evaluation.results import ResultRow, Results
from isotone.evaluation.scores import NONE
from isotone.evaluation.viewer import payload

FAILURES = 3
"""Shown per source scanner."""
DISTANCES = (
    ("wasserstein", "grey-level distance"),
    ("maximum_mean_discrepancy", "feature distance"),
    ("probe_auc", "scanner probe"),
)
TERMS = {
    "AUC": "Area under the receiver operating characteristic: how often an image of a class scores higher for it than "
    "one of another class; the mean over the classes. 1 is perfect, 0.5 a guess.",
    "worst-group accuracy": "The recall of the weakest class: of its images, the share that is called right.",
    "recall": "Of the images of a class, the share that is called so.",
    "gain": "After minus before, on the same images; its interval is that of the difference.",
    "interval": "95 % confidence interval: patients resampled, all images of a patient together; exact "
    "(Clopper–Pearson) for shares where each patient has one image.",
    "reference": "The scanner that the classifier was trained on.",
    "source": "Another scanner, whose images are mapped to the reference's grey levels.",
    "baseline": "A method that learns nothing of the scanner pair, for comparison.",
    "oracle": "The same images as the reference scanner would have written them; known in simulations only.",
    "undecided": "The interval holds both a gain and none.",
}
"""Said as tooltips and in a list."""


def write_report(
    results: Results,
    folder: Path,
    *,
    material: Material | None = None,
    methods: Mapping[str, Transform] | None = None,
    with_images: bool = False,
    workers: int = 1,
) -> None:
    """Write ``report.html`` and ``figures/``.

    Parameters
    ----------
    results : Results
    folder : Path
    material : Material, optional
        None where only scores are at hand: then there are neither curves nor images.
    methods : mapping of name to object with ``transform``, optional
        For the images shown.
    with_images : bool
        Show a handful of images; they may identify a patient.
    workers : int
    """
    primary = primary_method(results)
    viewer: dict[str, Any] = {}
    if material is not None:
        viewer = payload(
            material, methods or {}, primary, results.reference_domains, with_images=with_images, workers=workers
        )
    shortlist = _shortlist(results)
    every = panels(results, material, results.methods)
    drawn = panels(results, material, [*shortlist, primary or NONE]) | {"curves": every.get("curves", [])}
    template = environment("isotone.evaluation").get_template("report.html.j2")
    style, script = Markup(STYLE + template_text("report.css")), Markup(template_text("report.js"))
    page = template.render(
        results=results,
        headline=headline(results),
        question=question(results),
        answers=answers(results),
        not_proven=not_proven(results),
        simulated=simulated(results),
        draws=f"{DRAWS:,}",
        chief=Markup(before_and_after(results, primary)),
        terms=TERMS,
        rows_of=partial(rows_of, results, primary),
        keeping=partial(keeping, results),
        hurt=hurt(results),
        ordered=ordinal_ranks(results.classes) is not None,
        lines=lines(results),
        primary=primary,
        columns=partial(columns, results),
        domains=list(dict.fromkeys(r.domain for r in sorted(results.rows, key=lambda r: r.reference))),
        whisker=lambda *a: Markup(whisker(*a)),
        viewer=viewer if viewer.get("images") else None,
        viewer_methods=_viewer_methods(viewer, primary),
        viewer_json=Markup(json.dumps(viewer).replace("<", "\\u003c")),
        with_images=with_images and bool(viewer.get("images")),
        failures=[] if material is None else failures(results, material, primary, viewer),
        style=style,
        script=script,
        policy=content_policy(style, script),
        panels={name: [Markup(panel) for panel in shown] for name, shown in drawn.items()},
    )
    write_text(folder / "report.html", page)
    write_figures(results, every, folder / "figures")


def rows_of(results: Results, primary: str | None, domain: str) -> tuple[list[ResultRow], list[str]]:
    """A scanner's rows, the report's method first, then the untouched images; and methods that leave it unchanged."""
    rows = [r for r in results.rows if r.domain == domain]
    changed = sorted((r for r in rows if not unchanged(r)), key=lambda r: (r.method != primary, r.method != NONE))
    return changed, [r.method for r in rows if unchanged(r)]


@dataclass(frozen=True)
class Column:
    """A column of the table of all metrics, with what one row has in it."""

    title: str
    value: float | None
    ci: tuple[float, float] | None = None
    digits: int = 2


def columns(results: Results, row: ResultRow) -> Iterator[Column]:
    """The metrics of a row that describe it, in the order of `METRICS`; then those that need images, and a test."""
    ordered = ordinal_ranks(results.classes) is not None and len(results.classes) > 2
    for metric in METRICS:
        values = getattr(row, metric.field)
        if metric.kind == "number" and (ordered or metric.field != "quadratic_kappa"):
            yield Column(metric.title, values)
        for name in results.classes if metric.kind == "share" else ():
            if name in values:
                yield Column(f"{metric.title} {name}", values[name], getattr(row, f"{metric.field}_ci").get(name))
    for field, title in () if row.reference else DISTANCES:
        yield Column(title, getattr(row, field))
    if len(results.classes) == 2:
        yield Column("DeLong p", row.delong_p, digits=3)


def failures(
    results: Results, material: Material, method: str | None, viewer: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Per source scanner the wrong predictions with the lowest probability of the true label, with their curves."""
    pictures = {shown["image"]: k for k, shown in enumerate(viewer.get("images", ())) if "pixels" in shown}
    scores, found = material.scores, []
    if method not in scores.probabilities:
        return []
    table = scores.probabilities[method]
    for domain in results.source_domains:
        inside = np.flatnonzero((scores.domain == domain) & scores.scored(method))
        wrong = inside[table[inside].argmax(1) != scores.label[inside]]
        order = wrong[np.argsort(table[wrong, scores.label[wrong]], kind="stable")][:FAILURES]
        for i in order:
            found.append(
                {
                    "figure": Markup(_curve(material, int(i), method, domain)),
                    "label": scores.classes[scores.label[i]],
                    "predicted": scores.classes[int(table[i].argmax())],
                    "confidence": float(table[i].max()),
                    "before": float(scores.probabilities[NONE][i, scores.label[i]]),
                    "after": float(table[i, scores.label[i]]),
                    "image": str(scores.image[i]),
                    "shown": pictures.get(str(scores.image[i])),
                }
            )
    return found


def _curve(material: Material, position: int, method: str, domain: str) -> str:
    panel = Panel(domain, method, "grey level in", "grey level out")
    curve = material.images[position].curves.get(method)
    lines = [] if curve is None else [panel.line(GRID, curve, "curve")]
    return panel.draw(panel.line([0, 1], [0, 1], "identity"), *lines)


def _shortlist(results: Results) -> list[str]:
    """Methods of the first screen: none, what is not a plain baseline, the oracle."""
    judged = [m for m in results.methods if m not in BASELINES and m not in ADAPTATIONS]
    return judged if primary_method(results) in judged else results.methods


def _viewer_methods(viewer: Mapping[str, Any], primary: str | None) -> list[str]:
    """Those that are maps of grey levels on any image shown, the primary one first."""
    names = dict.fromkeys(m for shown in viewer.get("images", ()) for m in shown["curves"])
    return sorted(names, key=lambda name: name != primary)
