"""Timing two ways of doing a thing against each other on a machine that others use, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np


def medians(ways: Mapping[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Call every way twice in each round, after one round that does not count; the second call is timed.

    The first one finds memory and caches as another way left them: what that one freed would be counted here.

    Returns
    -------
    dict of str to float
        Median seconds of each way.
    dict of str to float
        Median over the rounds of the ratio of each way to the first: what the machine does meanwhile hits both.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            way()
            start = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - start)
    first = np.array(next(iter(seconds.values())))
    ratios = {name: float(np.median(np.array(values) / first)) for name, values in seconds.items()}
    return {name: float(np.median(values)) for name, values in seconds.items()}, ratios
