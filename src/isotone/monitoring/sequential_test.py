"""Does a scanner drift, asked again and again for years? With a stated number of false alarms a year.

A test at a fixed level, repeated every night, raises an alarm by chance sooner or later. Here the images of a scanner
are cut into blocks of 32, 128 and 512, in parallel: short blocks find a large change soon, long ones a small change at
all. Each block is tested once, at a level in proportion to the time that it spans: of the false alarms that a year may
bring, each length spends a third. By linearity, their expected number in a year is at most what is allowed, whatever
the number of images and however the blocks depend on each other, as they do through the error of the one fit. (That
error is why evidence is not multiplied from block to block, as an e-process or a CUSUM would: it would grow for ever.)

What is tested: tone (`isotone.monitoring.response_drift`), layout (`isotone.monitoring.novelty`), and how many images
look unlike those of the fit one by one; at a third of the level each (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isotone.data.descriptors.appearance import LAYOUT, SIZE
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift

Floats = NDArray[np.float64]

LENGTHS = (32, 128, 512)
"""Images of a block; longer: smaller changes are found, later. Chosen so that each is four times the last."""
OUTSIDE = 0.05
"""Share of images outside the limit of single images that is still ordinary (`isotone.deployment.check`)."""
YEAR = 365.25
HIGHEST = 0.05
"""Level of a block that spans years: more would be no evidence."""
CAUSES = ("another response", "another anatomy, view, field of view or processing", "single images unlike the fit")


@dataclass(frozen=True)
class BlockTest:
    """The test of one block.

    Attributes
    ----------
    chance : float
        Probability, at most, that images like those of the fit deviate so far.
    level : float
        Below which there is an alarm.
    cause : str
        What deviates most, one of `CAUSES`.
    """

    chance: float
    level: float
    cause: str

    @property
    def alarm(self) -> bool:
        """Whether the scanner drifts."""
        return self.chance < self.level


def level_of(days: float, per_year: float) -> float:
    """Level of a block that spans so many days, where so many false alarms are allowed in a year.

    Examples
    --------
    >>> from isotone.monitoring.sequential_test import level_of
    >>> round(level_of(days=7, per_year=1.0), 5)
    0.00639
    """
    return min(per_year / len(LENGTHS) * max(days, 0.0) / YEAR, HIGHEST)


def blocks(images: int, length: int) -> Iterator[slice]:
    """The whole blocks of a length among so many images; the rest waits."""
    for start in range(0, images - length + 1, length):
        yield slice(start, start + length)


def judge_block(
    gate: Novelty, drift: ResponseDrift | None, looks: Sequence[Floats], level: float, *, refused: int = 0
) -> BlockTest:
    """Test one block.

    Parameters
    ----------
    gate : Novelty
    drift : ResponseDrift or None
        None: tone is not tested.
    looks : sequence of float64 arrays
        Of the images of the block.
    level : float
        `level_of` gives it.
    refused : int
        Images of the block that are known to be unlike the fit, whose looks are not among `looks`.
    """
    inside = [look for look in looks if gate.complaint(look) is None]
    images = len(looks) + refused
    outside = float(special.bdtrc(images - len(inside) - 1, images, OUTSIDE))
    chances = [1.0, 1.0, outside]
    if len(inside) > images // 2:
        batch = np.stack(inside)
        # The score is a root mean square of LAYOUT standard normal variables (`Novelty.layout`), at most.
        chances[1] = float(special.chdtrc(LAYOUT, LAYOUT * gate.layout(batch) ** 2))
        if drift is not None and batch.shape[1] > SIZE + 1:
            chances[0] = drift.chance(batch[:, SIZE + 1 :])
    worst = int(np.argmin(chances))
    return BlockTest(min(1.0, len(chances) * chances[worst]), level, CAUSES[worst])
