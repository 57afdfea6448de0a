"""Which differences between two runs are real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isotone.errors import UsageError
from isotone.evaluation.bootstrap import holm, verdict
from isotone.evaluation.metric_table import PAIRED
from isotone.evaluation.resampled import Resampled
from isotone.evaluation.results import Results
from isotone.evaluation.scores import Floats, Scores

if TYPE_CHECKING:
    from rich.table import Table

FIRST, SECOND = "A", "B"


@dataclass(frozen=True)
class Difference:
    """One method on one domain, second run minus first, on the images that both scored.

    Attributes
    ----------
    domain, method, metric : str
    n : int
        Images compared.
    first, second, difference : float or None
        None where undefined.
    ci : pair of float or None
        95 %, paired, patients resampled.
    p : float or None
        Holm-adjusted over all differences of the comparison; None where nothing differs.
    verdict : str
        Of the second run: "better", "not worse", "worse" or "undecided".
    """

    domain: str
    method: str
    metric: str
    n: int
    first: float | None
    second: float | None
    difference: float | None
    ci: tuple[float, float] | None
    p: float | None
    verdict: str


@dataclass(frozen=True)
class Differences:
    """What `compare` found; `alone` names what only one run has."""

    rows: list[Difference]
    alone: list[str]

    def table(self) -> Table:
        """For the terminal."""
        from rich.table import Table

        table = Table("domain", "method", "metric", "n", "A", "B", "B − A", "95 % interval", "p (Holm)", "B is")
        for r in self.rows:
            ci = "–" if r.ci is None else f"[{r.ci[0]:+.3f}, {r.ci[1]:+.3f}]"
            numbers = [("–" if v is None else f"{v:.3f}") for v in (r.first, r.second)]
            gap = "–" if r.difference is None else f"{r.difference:+.3f}"
            p = "–" if r.p is None else f"{r.p:.4f}"
            table.add_row(r.domain, r.method, r.metric.replace("_", " "), str(r.n), *numbers, gap, ci, p, r.verdict)
        return table


def compare(first: str | Path, second: str | Path, *, seed: int = 0) -> Differences:
    """Compare two output folders of `evaluate`, image by image.

    Parameters
    ----------
    first, second : path
        Folders with ``results.json`` and ``scores.csv``. Images are recognised by their pixels, whatever the
        folder they lie in.
    seed : int
        Of the resamples.

    Returns
    -------
    Differences

    Raises
    ------
    UsageError
        Not such folders, other classes, or no image in common.

    Examples
    --------
    >>> import isotone
    >>> found = isotone.compare("evaluation", "evaluation-again")
    >>> sorted({row.verdict for row in found.rows})
    ['not worse']
    """
    runs = []
    for folder in (Path(first), Path(second)):
        results = Results.read(folder / "results.json")
        runs.append(Scores.read(folder / "scores.csv").with_untouched())
        if list(runs[-1].classes) != results.classes:
            raise UsageError("results.json and scores.csv come from different runs", file=folder)
    a, b = runs
    if a.classes != b.classes:
        raise UsageError(f"the classes differ: {', '.join(a.classes)} and {', '.join(b.classes)}", file=second)
    keys = {key: k for k, key in enumerate(b.keys())}
    pairs = [(k, keys[key]) for k, key in enumerate(a.keys()) if key in keys]
    if not pairs:
        raise UsageError("the two runs have no image in common", file=second)
    at_a, at_b = np.array(pairs).T
    if (a.label[at_a] != b.label[at_b]).any():
        raise UsageError("an image has different labels in the two runs", file=second)
    rows = [
        row
        for method in a.probabilities
        if method in b.probabilities
        for row in _differences(a, at_a, method, b.probabilities[method][at_b], seed)
    ]
    adjusted = holm([row.p for row in rows])
    rows = [replace(row, p=p, verdict=verdict(row.ci, p)) for row, p in zip(rows, adjusted, strict=True)]
    return Differences(rows, _alone(a, b, len(pairs)))


def _differences(a: Scores, common: NDArray[np.intp], method: str, second: Floats, seed: int) -> list[Difference]:
    """Of one method on every domain; p not yet adjusted."""
    ours = a.at(common)
    scores = replace(ours, probabilities={FIRST: ours.probabilities[method], SECOND: second})
    resampled, rows = Resampled(scores, seed=seed), []
    for domain in scores.domains:
        both = resampled.both(domain, FIRST, SECOND)
        for metric in PAIRED if both.any() else ():
            one, two = (resampled.estimate(metric, m, both) for m in (FIRST, SECOND))
            gap = resampled.gain(metric, SECOND, both, other=FIRST)
            numbers = (one.point, two.point, gap.point, gap.ci, gap.p)
            rows.append(Difference(domain, method, metric.field, int(both.sum()), *numbers, "undecided"))
    return rows


def _alone(a: Scores, b: Scores, common: int) -> list[str]:
    notes = [
        f"{name} has method {m} alone"
        for name, x, y in ((FIRST, a, b), (SECOND, b, a))
        for m in x.probabilities
        if m not in y.probabilities
    ]
    for name, run in ((FIRST, a), (SECOND, b)):
        if len(run.label) > common:
            notes.append(f"{name} has {len(run.label) - common} images alone")
    return notes
