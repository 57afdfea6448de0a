"""The figures of a report, and the same as files of fixed names."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.files import write_text
from isotone.curves.svg import Panel, picture, sheet, tag, words
from isotone.evaluation.metric_table import PAIRED
from isotone.evaluation.observations import Material, pooled_histogram
from isotone.evaluation.predict import GRID
from isotone.evaluation.results import ResultRow, Results
from isotone.evaluation.scores import NONE, ORACLE

SHOWN = 60
"""Curves drawn at most in a fan; the others are like them."""


def panels(results: Results, material: Material | None, methods: Collection[str]) -> dict[str, list[str]]:
    """What is drawn of some methods, by the name of its file, on every source scanner (without any, on all): confusion
    and reliability and, with images, curves and grey levels.
    """
    rows = [r for r in _shown(results) if r.method in methods]
    judged = [r for r in rows if r.method != NONE]
    found: dict[str, list[str | None]] = {
        "confusion": [confusion(r, results.classes) for r in rows],
        "reliability": [
            reliability(results.row(r.domain, NONE) if r.method != NONE else None, r) for r in judged or rows
        ],
    }
    if material is not None:
        found["curves"] = [fan(material, r.domain, r.method) for r in judged]
        found["grey-levels"] = [grey_levels(material, results, r.domain, r.method) for r in judged]
    return {name: [panel for panel in drawn if panel] for name, drawn in found.items()}


def write_figures(results: Results, drawn: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Write ``performance.svg`` and each figure of `panels`."""
    write_text(folder / "performance.svg", performance(_shown(results)))
    for name, figure in drawn.items():
        write_text(folder / f"{name}.svg", sheet(figure or [""], 4))


def _shown(results: Results) -> list[ResultRow]:
    return [r for r in results.rows if not r.reference] or results.rows


def whisker(point: float | None, ci: tuple[float, float] | None, method: str) -> str:
    """A point and its interval on a line from 0 to 1."""
    kind = {NONE: "before", ORACLE: "oracle"}.get(method, "after")

    def x(value: float) -> float:
        return 6 + 148 * value

    marks = [tag("path", d=f"M{x(k / 4):g} 1V17", class_="grid") for k in range(5)]
    if ci is not None:
        marks.append(tag("path", d=f"M{x(ci[0]):.1f} 9H{x(ci[1]):.1f}", class_=f"whisker-{kind}"))
    if point is not None:
        marks.append(tag("circle", cx=round(x(point), 1), cy=9, r=4, class_=f"dot-{kind}"))
    label = "undefined" if point is None else f"{point:.2f} on a line from 0 to 1"
    return picture(160, 18, "".join(marks), label)


def performance(rows: Sequence[ResultRow]) -> str:
    """Worst-group accuracy and AUC of every row, with intervals."""
    lines = [words(x, 14, metric.title, class_="title") for x, metric in zip((510, 330), PAIRED, strict=True)]
    for k, row in enumerate(rows):
        y = 24 + 22 * k
        lines.append(words(4, y + 13, f"{row.domain} · {row.method}"))
        for x, metric in zip((505, 325), PAIRED, strict=True):
            mark = whisker(*row.value(metric.field), row.method)
            lines.append(mark.replace("<svg", f'<svg x="{x}" y="{y}" width="160" height="18"', 1))
    height = 30.0 + 22 * len(rows)
    return sheet([picture(680, height, "".join(lines), "worst-group accuracy and AUC")], 1, 680, height)


def before_and_after(results: Results, method: str | None) -> str:
    """AUC and worst-group accuracy of each source scanner, untouched and after a method, with intervals on one axis."""
    domains = results.source_domains or results.reference_domains
    marks, y = [], 4.0
    for metric in PAIRED:
        title = "AUC" if metric.field == "auc" else "Recall of the weakest class"
        marks.append(words(0, y + 12, title, class_="title"))
        first, y = y + 20, y + 20
        for domain in domains:
            marks.append(words(0, y + 13, domain))
            for name in dict.fromkeys((NONE, method or NONE)):
                row = results.row(domain, name)
                if row is not None:
                    marks.append(_on_axis(y + 21, *row.value(metric.field), name))
                y += 17
            y += 21
        for k in range(5):
            x = _axis(k / 4)
            marks.insert(0, tag("path", d=f"M{x:g} {first:g}V{y - 4:g}", class_="grid"))
            marks.append(words(x, y + 9, f"{k / 4:g}", class_="tick", text_anchor="middle"))
        y += 24
    return picture(340, y, "".join(marks), "AUC and worst-group accuracy before and after, with 95 % intervals")


def _axis(value: float) -> float:
    return 8 + 290 * value


def _on_axis(y: float, point: float | None, ci: tuple[float, float] | None, method: str) -> str:
    kind, marks = "before" if method == NONE else "after", []
    if ci is not None:
        marks.append(tag("path", d=f"M{_axis(ci[0]):.1f} {y:g}H{_axis(ci[1]):.1f}", class_=f"whisker-{kind}"))
    if point is not None:
        marks.append(tag("circle", cx=round(_axis(point), 1), cy=y, r=5, class_=f"dot-{kind}"))
        marks.append(words(338, y + 4, f"{point:.2f}", class_=f"in-{kind}", text_anchor="end"))
    return "".join(marks)


def fan(material: Material, domain: str, method: str) -> str | None:
    """The curves of all images of a scanner, and their median; None where the method is no map of grey levels."""
    images = [material.images[i] for i in material.of([domain])]
    curves = [seen.curves[method] for seen in images if method in seen.curves]
    if not curves:
        return None
    panel = Panel(domain, method, "grey level in", "grey level out")
    different = np.unique(np.round(curves, 4), axis=0)
    chosen = different[np.linspace(0, len(different) - 1, min(SHOWN, len(different))).astype(int)]
    each = [panel.line(GRID, c, "each") for c in chosen] if len(different) > 1 else []
    identity = panel.line([0, 1], [0, 1], "identity")
    return panel.draw(identity, *each, panel.line(GRID, np.median(curves, axis=0), "curve"))


def grey_levels(material: Material, results: Results, domain: str, method: str) -> str | None:
    """Foreground grey levels before and after, beside the reference's."""
    after, before = (pooled_histogram(material, [domain], m) for m in (method, NONE))
    if after is None or before is None:
        return None
    pools = {"before": before, "after": after, "reference": pooled_histogram(material, results.reference_domains, NONE)}
    smooth = {name: 100 * pool.reshape(64, -1).sum(1) for name, pool in pools.items() if pool is not None}
    # A dark background's or a clipped end's spike would flatten all the rest.
    top = float(np.quantile(np.concatenate(list(smooth.values())), 0.985)) * 1.15
    panel = Panel(domain, method, "grey level", "% of the foreground", top=2 * math.ceil(top / 2) or 2)
    x = (np.arange(64) + 0.5) / 64
    return panel.draw(*(panel.line(x, np.minimum(v, panel.top), name) for name, v in smooth.items()))


def reliability(before: ResultRow | None, after: ResultRow) -> str:
    """Accuracy against confidence; discs by number of images."""
    panel = Panel(after.domain, after.method, "confidence", "accuracy")
    marks = [panel.line([0, 1], [0, 1], "identity")]
    for row, kind in ((before, "before"), (after, "after")):
        points = row.reliability if row is not None else []
        if points:
            marks.append(panel.line([p[0] for p in points], [p[1] for p in points], kind))
            total = sum(p[2] for p in points)
            marks += [panel.dot(c, a, 2.5 + 5 * (n / total) ** 0.5, f"dot-{kind}") for c, a, n in points]
    return panel.draw(*marks)


def confusion(row: ResultRow, classes: Sequence[str]) -> str:
    """Counts, shaded by the share of the row."""
    counts = np.array(row.confusion, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    text = [[f"{int(n)}" for n in line] for line in counts]
    title, kind = (row.domain, row.method), "cell-before" if row.method == NONE else "cell"
    return shaded(text, shares, (classes, classes), title, ("label", "predicted"), kind)


def shaded(
    text: Sequence[Sequence[str]],
    shares: NDArray[np.floating],
    names: tuple[Sequence[str], Sequence[str]],
    title: tuple[str, str],
    axes: tuple[str, str],
    kind: str = "cell",
) -> str:
    """A matrix of words, each shaded by its share; names and axes are those of the rows, then of the columns."""
    high, wide = (176 / len(side) for side in names)
    short = [[name if len(name) <= 8 else name[:7] + "…" for name in side] for side in names]
    marks = [words(38, 14, title[0], class_="title"), words(38, 29, title[1], class_="tick")]
    for j, name in enumerate(short[1]):
        marks.append(words(38 + (j + 0.5) * wide, 232, name, class_="tick", text_anchor="middle"))
    for i, name in enumerate(short[0]):
        marks.append(_upright(30, 40 + (i + 0.5) * high, name))
        for j, share in enumerate(shares[i]):
            x, y, shade = 38 + j * wide, 40 + i * high, round(float(share), 3)
            marks.append(tag("rect", x=x, y=y, width=wide, height=high, fill_opacity=shade, class_=kind))
            ink = "on-cell" if share > 0.55 else "in-cell"
            marks.append(words(x + wide / 2, y + high / 2 + 4, text[i][j], class_=ink, text_anchor="middle"))
    marks += [_upright(11, 128, axes[0]), words(126, 247, axes[1], class_="tick", text_anchor="middle")]
    return picture(Panel.WIDTH, Panel.HEIGHT, "".join(marks), f"Matrix of {title[0]}, {title[1]}: {axes[1]}")


def _upright(x: float, y: float, text: str) -> str:
    return words(x, y, text, class_="tick", text_anchor="middle", transform=f"rotate(-90 {x:g} {y:.1f})")
