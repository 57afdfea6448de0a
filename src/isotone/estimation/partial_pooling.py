"""Scanners fitted together: one with few images leans on those that behave like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isotone.estimation.scanner_curve import ScannerFit, ScannerSettings, certified, is_free
from isotone.estimation.transport import free_curve

Floats = NDArray[np.float64]

LEAST = 0.02
"""Where the others count for less than this in sum, a curve stays as it was fitted."""
LONE = 0.05
"""Standard error of a curve of one patient, whose resampling shows none."""
POINTS = 256
NORMAL = 3.92
"""Width of a 95 % interval in standard errors."""


def lean(fits: Mapping[str, ScannerFit], settings: ScannerSettings) -> dict[str, ScannerFit]:
    """Draw each curve towards the others, as far as its own uncertainty and their likeness to it call for.

    A scanner's own curve counts by its precision, the inverse of its squared standard error; another's by the inverse
    of that one's squared standard error plus the squared difference between the two that chance does not explain
    (empirical Bayes, as in a random-effects mean: DerSimonian & Laird 1986, doi:10.1016/0197-2456(86)90046-2). So a
    scanner with many images keeps its curve, and nobody leans on a scanner that is different.

    Parameters
    ----------
    fits : mapping of str to ScannerFit
        By source domain.
    settings : ScannerSettings

    Returns
    -------
    dict of str to ScannerFit
        With the note ``leans_on``: domain → weight, adding up to less than 1.
    """
    bands = {d: {k: np.array(v) for k, v in fit.notes["band"].items()} for d, fit in fits.items()}
    variance = {d: float(np.mean(((b["high"] - b["low"]) / NORMAL) ** 2)) + 1e-12 for d, b in bands.items() if b}
    variance |= {d: LONE**2 for d in variance if fits[d].notes["patients"] == 1}
    result = dict(fits)
    for domain in variance:
        own = fits[domain]
        x = np.interp(np.linspace(0, 1, POINTS), np.linspace(0, 1, len(bands[domain]["x"])), bands[domain]["x"])
        precision = {domain: 1 / variance[domain]}
        for other in sorted(variance.keys() - {domain}):
            apart = float(np.mean((fits[other].curve(x) - own.curve(x)) ** 2))
            differ = max(apart - variance[domain] - variance[other], 0.0)
            # Two noisy curves may agree by chance: of what they are seen to be apart, half is taken for real at least.
            precision[other] = 1 / (variance[other] + max(differ, 0.5 * apart))
        total = sum(precision.values())
        weights = {other: precision[other] / total for other in sorted(precision)}
        if 1 - weights[domain] < LEAST:
            result[domain] = replace(own, notes=own.notes | {"leans_on": {}})
            continue
        y = sum(weight * fits[other].transport(x) for other, weight in weights.items())
        weights.pop(domain)
        curve, off = certified(x, y, settings)
        notes = {"leans_on": weights, "free": is_free(curve), "projection_rmse_levels_8bit": off}
        result[domain] = ScannerFit(curve, free_curve(x, y), own.notes | notes)
    return result
