"""Fig. 2 to 7: each as the numbers that are drawn, and as SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from isotone.curves.stages import apply_steps
from isotone.curves.svg import Panel, picture, sheet, tag, words
from isotone.evaluation.figures import shaded
from isotone.evaluation.predict import GRID, PERCENTILES
from isotone.evaluation.reproduction.images import Grey
from isotone.evaluation.reproduction.measure import classes_of, matrix, measured, unpack
from isotone.evaluation.reproduction.study import Study


@dataclass(frozen=True)
class Figure:
    """A figure of the paper.

    Attributes
    ----------
    name : str
        Of its files.
    title : str
        What it shows.
    numbers : DataFrame
    svg : str
        A file that stands alone.
    """

    name: str
    title: str
    numbers: pd.DataFrame
    svg: str


def figures(study: Study, predictions: pd.DataFrame, grid: pd.DataFrame) -> list[Figure]:
    """All of them, in the order of the paper."""
    low, other = study.plan.about.figure_3, study.plan.about.figure_4
    return [
        montage(study),
        confusions(study, predictions, "figure-3", low, ("none", "display-window", "gdce")),
        confusions(study, predictions, "figure-4", other, ("none", "z-score", "gdce")),
        comparison(study, predictions),
        failure(study, predictions),
        heat_maps(study, grid),
    ]


def montage(study: Study) -> Figure:
    """Fig. 2: of each scanner the test image of median brightness, at full range; in numbers, all test images."""
    panels, rows = [], []
    about = study.plan.about
    for domain in (about.reference, *about.sources):
        inside = (study.images.table["domain"] == domain).to_numpy() & (study.folds[0] == "test")
        numbers = study.images.table.index[inside].to_numpy()
        grey = study.images.grey(numbers)
        typical = int(np.argsort(grey.mean((1, 2)), kind="stable")[len(grey) // 2])
        role = "reference" if domain == about.reference else "source"
        panels.append(_image(grey[typical], domain, f"{role}, full range"))
        rows.append({"domain": domain, "images": len(grey), "image": numbers[typical]} | _levels(grey))
    return Figure("figure-2", "Full-range images of the scanners", pd.DataFrame(rows), sheet(panels, 3))


def confusions(study: Study, predictions: pd.DataFrame, name: str, domain: str, methods: Sequence[str]) -> Figure:
    """Fig. 3 and 4: confusion matrices, mean counts of a fold, with the AUC."""
    panels, rows = [], []
    for method in methods:
        own = predictions[(predictions["domain"] == domain) & (predictions["method"] == method)]
        classes, counts = classes_of(own), matrix(own) / own["fold"].nunique()
        auc = float(measured(own)["auc"][0])
        paper = study.plan.about.published.get((domain, method, "auc"))
        beside = "" if paper is None else f", paper {paper:.2f}"
        panels.append(_cells(counts, (classes, classes), (method, f"AUC {auc:.2f}{beside}"), "predicted"))
        for label, line in zip(classes, counts, strict=True):
            predicted = {f"predicted_{c}": round(float(v), 3) for c, v in zip(classes, line, strict=True)}
            row = {"method": method, "label": label, **predicted, "auc": auc}
            rows.append(row if paper is None else row | {"paper_auc": paper})
    title = f"Confusion matrices of {domain}, mean counts of a fold"
    return Figure(name, title, pd.DataFrame(rows), sheet(panels, len(methods)))


def comparison(study: Study, predictions: pd.DataFrame) -> Figure:
    """Fig. 5: one image at full range, through its display window, and through GDCE."""
    source = study.plan.about.figure_3
    number, fold, _ = _pick(predictions, source, lambda gain: int(np.argsort(gain)[len(gain) // 2]))
    grey, window = study.images.grey(np.array([number])), study.images.displayed(np.array([number]))
    shown = {"full range": grey, "display window": window, "GDCE": study.gdce(fold, source)(np.array([number]))}
    panels = [_image(image[0], f"({'abc'[k]}) {name}", source) for k, (name, image) in enumerate(shown.items())]
    rows = [{"version": name, "image": number, "fold": fold + 1} | _levels(image) for name, image in shown.items()]
    title = f"One image of {source}, three ways"
    return Figure("figure-5", title, pd.DataFrame(rows), sheet(panels, 3))


def failure(study: Study, predictions: pd.DataFrame) -> Figure:
    """Fig. 6: the image whose true class GDCE made least likely, and its curve."""
    source = study.plan.about.figure_4
    number, fold, said = _pick(predictions, source, lambda gain: int(gain.argmin()))
    gdce = study.gdce(fold, source)
    numbers = np.array([number])
    alphas = gdce.coefficients(numbers)[0]
    curve = apply_steps(GRID, list(alphas))
    label = study.images.table["label"].loc[number]
    panel = Panel(
        "its curve", "α " + " ".join(f"{a:+.2f}" for a in alphas[:5]) + " …", "grey level in", "grey level out"
    )
    panels = [
        _image(study.images.grey(numbers)[0], f"(a) full range, label {label}", f"probability {said['none']:.2f}"),
        _image(gdce(numbers)[0], "(b) GDCE", f"probability {said['gdce']:.2f}"),
        panel.draw(panel.line([0, 1], [0, 1], "identity"), panel.line(GRID, curve, "curve")),
    ]
    numbers_drawn = pd.DataFrame({"grey_in": GRID, "grey_out": curve})
    noted = {"image": number, "fold": fold + 1, "label": label, **{f"probability_{m}": v for m, v in said.items()}}
    title = f"A failure of {source}: probability of the true class"
    return Figure("figure-6", title, numbers_drawn.assign(**noted), sheet(panels, 3))


def heat_maps(study: Study, grid: pd.DataFrame) -> Figure:
    """Fig. 7: worst-group accuracy of GDCE by layers and iterations, on validation and test images."""
    panels = []
    for split in ("val", "test"):
        values = grid.pivot(index="layers", columns="iterations", values=split)
        subtitle = "validation" if split == "val" else "test"
        names = [f"L = {layers}" for layers in values.index], [f"N = {n}" for n in values.columns]
        panels.append(_cells(values.to_numpy(float), names, (study.plan.about.figure_4, subtitle), "iterations"))
    title = "Worst-group accuracy by convolution layers and iterations"
    return Figure("figure-7", title, grid, sheet(panels, 2))


def table_svg(table: pd.DataFrame) -> str:
    """A table as SVG: text in columns."""
    text = [[str(c).replace("_", " ") for c in table.columns], *([cell(v) for v in row] for row in table.to_numpy())]
    widths = [6.3 * max(len(row[k]) for row in text) + 14 for k in range(len(table.columns))]
    starts = np.concatenate([[6.0], 6 + np.cumsum(widths)])
    lines = [
        words(round(float(starts[k]), 1), 18 + 17 * i, value, class_="title" if i == 0 else "tick")
        for i, row in enumerate(text)
        for k, value in enumerate(row)
    ]
    width, height = float(starts[-1]), 24.0 + 17 * len(text)
    return sheet([picture(width, height, "".join(lines), "table")], 1, width, height)


def cell(value: Any) -> str:
    """A number or word as tables show it; nothing for what is undefined."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _pick(
    predictions: pd.DataFrame, source: str, choose: Callable[[NDArray[np.float64]], int]
) -> tuple[int, int, dict[str, float]]:
    """An image, its fold, and the probability of its class by method; chosen by how much likelier GDCE made that."""
    own = predictions[predictions["domain"] == source]
    parts = {method: own[own["method"] == method].reset_index(drop=True) for method in ("none", "gdce")}
    likely = {}
    for method, rows in parts.items():
        labels, probabilities = unpack(rows)
        likely[method] = probabilities[np.arange(len(labels)), labels]
    k = choose(likely["gdce"] - likely["none"])
    row = parts["none"].iloc[k]
    return int(row["image"]), int(row["fold"]) - 1, {method: float(values[k]) for method, values in likely.items()}


def _levels(grey: Grey) -> dict[str, float]:
    return {f"p{q}": round(float(v), 4) for q, v in zip(PERCENTILES, np.percentile(grey, PERCENTILES), strict=True)}


def _image(grey: Grey, title: str, subtitle: str) -> str:
    """A panel that shows an image, embedded."""
    stream = io.BytesIO()
    Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(stream, "PNG")
    data = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    side = Panel.WIDTH - 30
    marks = [
        words(15, 14, title, class_="title"),
        words(15, 29, subtitle, class_="tick"),
        tag("image", href=data, x=15, y=38, width=side, height=side),
    ]
    return picture(Panel.WIDTH, Panel.HEIGHT, "".join(marks), f"{title}, {subtitle}")


def _cells(
    values: NDArray[np.float64], names: tuple[Sequence[str], Sequence[str]], title: tuple[str, str], axis: str
) -> str:
    """A matrix, each cell shaded by its share of the row's sum or, where all are at most 1, by itself."""
    ratios = values.max() <= 1
    shares = values if ratios else values / np.maximum(values.sum(1, keepdims=True), 1e-9)
    text = [[f"{v:.2f}" if ratios else f"{v:.1f}".removesuffix(".0") for v in line] for line in values]
    return shaded(text, shares, names, title, ("", axis))
