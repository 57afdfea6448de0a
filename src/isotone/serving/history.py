"""What a node remembers of each scanner: its days, its drift tests and its software; images as numbers alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift
from isotone.monitoring.sequential_test import LENGTHS, blocks, judge_block, level_of
from isotone.serving.alerts import Alerts
from isotone.serving.object_queue import ObjectQueue

DAY = 86400.0
UNLIKE = ("E_OOD", "E_INTENT")
"""Refusals that say that an image is unlike the fit; it counts in its block."""


class Day(NamedTuple):
    """One day of one scanner and of one kind of decision.

    Attributes
    ----------
    day, scanner, decision : str
    code : str or None
        Of a refusal.
    software : str or None
        Hash of SoftwareVersions.
    images : int
    brightness : float or None
        Mean over the images of the mean of their brightness percentiles, in [0, 1].
    """

    day: str
    scanner: str
    decision: str
    code: str | None
    software: str | None
    images: int
    brightness: float | None


class DriftTest(NamedTuple):
    """One drift test (`isotone.monitoring.sequential_test.BlockTest`), and when it was made."""

    at: float
    scanner: str
    images: int
    chance: float
    level: float
    alarm: bool
    cause: str


class History:
    """Reads and extends what the queue's file has of images.

    Parameters
    ----------
    queue : ObjectQueue
    harmonizers : iterable of ToneCurveHarmonizer
    alarms_per_year : float
        False ones, of each scanner, at most.
    alerts : Alerts
        Are told of each alarm, and of each change of a scanner's software.
    """

    def __init__(
        self,
        queue: ObjectQueue,
        harmonizers: Iterable[ToneCurveHarmonizer],
        alarms_per_year: float,
        alerts: Alerts,
    ) -> None:
        self._queue, self._per_year, self._alerts = queue, alarms_per_year, alerts
        self._models = {harmonizer.digest[:12]: harmonizer for harmonizer in harmonizers}
        self._software = set(self._versions())

    def test(self) -> None:
        """Test the blocks that have become whole, and look for new software.

        Raises
        ------
        IsotoneError
            E_WRITE.
        """
        for scanner, model in self._queue.rows("SELECT DISTINCT scanner, model FROM images WHERE look IS NOT NULL"):
            harmonizer = self._models.get(model)
            fitted = None if harmonizer is None else harmonizer.scanners.get(scanner)
            if fitted is not None and fitted.novelty is not None:
                done = [self._test(fitted.novelty, fitted.drift, scanner, model, length) for length in LENGTHS]
                with self._queue.transaction() as db:  # what no block needs any more
                    query = "UPDATE images SET look = NULL WHERE scanner = ? AND model = ? AND id <= ?"
                    db.execute(query, (scanner, model, min(done)))
        for scanner, software in self._versions():
            if (scanner, software) not in self._software:
                if any(known == scanner for known, _ in self._software):
                    self._alerts.tell("software", scanner, f"{scanner}: its software has changed (now {software})")
                self._software.add((scanner, software))

    def days(self) -> list[Day]:
        """Every day, the oldest first."""
        query = """SELECT day, scanner, decision, code, software, COUNT(*), AVG(brightness) FROM images
        GROUP BY day, scanner, decision, code, software ORDER BY day, scanner, MIN(id)"""
        return [Day(*row) for row in self._queue.rows(query)]

    def tests(self) -> list[DriftTest]:
        """Every drift test, the oldest first."""
        query = "SELECT at, scanner, images, chance, level, alarm, cause FROM tests ORDER BY id"
        return [DriftTest(*row)._replace(alarm=bool(row[5])) for row in self._queue.rows(query)]

    def _versions(self) -> list[tuple[str, str]]:
        query = "SELECT scanner, software FROM images WHERE software IS NOT NULL GROUP BY scanner, software"
        return [(str(scanner), str(software)) for scanner, software in self._queue.rows(query)]

    def _test(self, gate: Novelty, drift: ResponseDrift | None, scanner: str, model: str, length: int) -> int:
        """Test the whole blocks of a length; the last image that is behind."""
        query = "SELECT MAX(last) FROM tests WHERE scanner = ? AND model = ? AND images = ?"
        last = int(self._queue.rows(query, scanner, model, length)[0][0] or 0)
        query = """SELECT id, at, look FROM images WHERE scanner = ? AND model = ? AND id > ?
        AND (look IS NOT NULL OR code IN (?, ?)) ORDER BY id"""
        rows = self._queue.rows(query, scanner, model, last, *UNLIKE)
        before = self._queue.rows("SELECT at FROM images WHERE id = ?", last)
        since = before[0][0] if before else (rows[0][1] if rows else 0.0)
        for block in blocks(len(rows), length):
            part = rows[block]
            looks = [np.frombuffer(look, "<f4").astype(np.float64) for _, _, look in part if look is not None]
            level = level_of((part[-1][1] - since) / DAY, self._per_year)
            found = judge_block(gate, drift, looks, level, refused=len(part) - len(looks))
            last, since = int(part[-1][0]), part[-1][1]
            numbers = (found.chance, found.level, int(found.alarm), found.cause)
            with self._queue.transaction() as db:
                db.execute(
                    "INSERT INTO tests (at, scanner, model, images, last, chance, level, alarm, cause) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (time.time(), scanner, model, length, last, *numbers),
                )
            if found.alarm:
                said = f"W_BATCH: {scanner}: {found.cause} ({length} images, chance {found.chance:.2g})"
                self._alerts.tell("drift", scanner, said)
        return last
