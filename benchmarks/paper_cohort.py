"""The phantom in memory at the sizes of the paper's Table 1, drawn by several processes; numpy and scipy alone."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from isotone.data.phantom.anatomy import CLASSES, Anatomy, draw_breast
from isotone.data.phantom.scanners import ALDER, BIRCH, DOGWOOD, SCANNERS, Scanner

CELLS: dict[str, dict[str, tuple[int, int]]] = {
    ALDER.domain: dict.fromkeys(CLASSES, (400, 100)),
    DOGWOOD.domain: {"A": (0, 52), "B": (400, 100), "C": (400, 100), "D": (0, 94)},
    BIRCH.domain: {"A": (0, 123), "B": (400, 100), "C": (400, 100), "D": (0, 81)},
}
"""Images for training and for the test by scanner and class: Alder in Selenia's place, Dogwood in Senograph's, Birch in
Clearview's. One image of each patient."""
FOLDS = 5
"""One of five folds of the training images validates."""
DRAWING = 90.0
"""Seconds that drawing may take: where the machine is too slow for all images, fewer are drawn, and the first line of
the output says how many."""


@dataclass(frozen=True)
class Cell:
    """One image to be drawn."""

    domain: str
    split: str
    label: str
    number: int


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one scanner and split.

    Attributes
    ----------
    shown : float32 array of shape (n, S, S)
        Full range, in [0, 1]; BIRCH is inverted back.
    truth : float32 array of shape (n, S, S)
        The same exposures as the reference scanner would have written them: of test images alone, of others (n, 0, 0).
    labels : list of n str
    """

    shown: NDArray[np.float32]
    truth: NDArray[np.float32]
    labels: list[str]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The labels as class numbers."""
        return np.array([CLASSES.index(label) for label in self.labels], np.int64)


@dataclass(frozen=True)
class Draw:
    """Draws one image; picklable."""

    pixels: int
    seed: int

    def __call__(self, cell: Cell) -> tuple[Cell, NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng([self.seed, cell.number])
        exposure = draw_breast(rng, Anatomy.draw(rng, cell.label), self.pixels)
        scanner = next(s for s in SCANNERS if s.domain == cell.domain)
        truth = self._seen(ALDER, exposure) if cell.split == "test" else np.zeros((0, 0), np.float32)
        return cell, self._seen(scanner, exposure), truth

    def _seen(self, scanner: Scanner, exposure: NDArray[np.float64]) -> NDArray[np.float32]:
        """Full range, stretched to a square by linear interpolation along the rows, as the classifier sees it."""
        stored = scanner.stored(exposure) / np.float32(2**scanner.bits - 1)
        shown = 1 - stored if scanner.inverted else stored
        place = (np.arange(self.pixels) + 0.5) * shown.shape[1] / self.pixels - 0.5
        left = np.clip(place.astype(int), 0, shown.shape[1] - 2)
        share = np.clip(place - left, 0, 1)
        return np.asarray((1 - share) * shown[:, left] + share * shown[:, left + 1], np.float32)


def cells(fraction: float) -> list[Cell]:
    """What is drawn: that share of every cell, and at least three images of it for each split."""
    wanted = []
    for domain, by_class in CELLS.items():
        for label, (fitted, tested) in by_class.items():
            train, test = (max(round(fraction * n), 3) if n else 0 for n in (fitted, tested))
            val = max(train // FOLDS, 1) if train else 0
            wanted += [(domain, "train", label)] * (train - val) + [(domain, "val", label)] * val
            wanted += [(domain, "test", label)] * test
    return [Cell(*what, number) for number, what in enumerate(wanted)]


def affordable(pixels: int, fraction: float, processes: int) -> float:
    """The share of the images that are drawn within `DRAWING` seconds, at most `fraction`."""
    draw, some = Draw(pixels, 0), cells(0)[:3]
    draw(some[0])
    began = time.perf_counter()
    for cell in some:
        draw(cell)
    each = (time.perf_counter() - began) / len(some)
    return min(fraction, fraction * DRAWING * processes / (each * len(cells(fraction))))


def draw_all(pixels: int, fraction: float, seed: int) -> dict[tuple[str, str], Images]:
    """All images by (scanner, split)."""
    with multiprocessing.get_context("spawn").Pool(processes()) as pool:
        drawn = list(pool.imap(Draw(pixels, seed), cells(fraction), chunksize=8))
    return dict(_grouped(drawn))


def processes() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _grouped(
    drawn: list[tuple[Cell, NDArray[np.float32], NDArray[np.float32]]],
) -> Iterator[tuple[tuple[str, str], Images]]:
    def place(item: tuple[Cell, NDArray[np.float32], NDArray[np.float32]]) -> tuple[str, str]:
        return item[0].domain, item[0].split

    for where, items in groupby(sorted(drawn, key=lambda item: (*place(item), item[0].number)), place):
        found, shown, truth = zip(*items, strict=True)
        yield where, Images(np.stack(shown), np.stack(truth), [cell.label for cell in found])
