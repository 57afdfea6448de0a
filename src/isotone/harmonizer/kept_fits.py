"""Fits of scanners that were done before on the same images, by the same classifier, with the same settings.

A second fit with one other image or setting is a new one: for it the cache has what is known of each image.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isotone._runtime.disk_cache import DiskCache, digest
from isotone.data.sample import Sample
from isotone.errors import ModelError
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.mappers import PlainMapper
from isotone.harmonizer.model_file import ModelFile, scanners_body, scanners_of

SCANNER = "scanner"
"""Under what name a scanner is kept: what it is called is no part of its fit."""


@dataclass(frozen=True)
class KeptFits:
    """The fits in a cache.

    Attributes
    ----------
    cache : DiskCache or None
        None: nothing is kept.
    asked : sequence
        What is fitted, and how, apart from the images; its `repr` says all of it.
    classifier : object or None
        The frozen one; its `digest` stands for it, and without one nothing is kept.
    """

    cache: DiskCache | None
    asked: Sequence[object]
    classifier: Any = None

    def key(self, *sides: Sequence[Sample]) -> str | None:
        """The cache's key of the fit of source and reference; None where something of it is not known by content."""
        frozen = None if self.classifier is None else getattr(self.classifier, "digest", None)
        if self.cache is None or (self.classifier is not None and frozen is None):
            return None
        told = [[(s.known.key, s.label, s.patient, s.domain, s.split, s.trained) for s in side] for side in sides]
        if not all(key for side in told for key, *_ in side):
            return None
        recorded = getattr(self.classifier, "trained_on", None) is not None  # which no digest of a classifier tells
        return digest("fit", list(self.asked), frozen, recorded, told)

    def get(self, key: str | None) -> FittedScanner | None:
        """The scanner that was put; None where there is none."""
        data = None if key is None or self.cache is None else self.cache.get(key)
        if data is None:
            return None
        try:
            return scanners_of(ModelFile.model_construct(**json.loads(data)), Path())[SCANNER]
        except (ModelError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str | None, scanner: FittedScanner) -> None:
        """Keep a scanner whose curves are numbers alone."""
        if key is not None and self.cache is not None and isinstance(scanner.mapper, PlainMapper):
            body = scanners_body({SCANNER: scanner}, {SCANNER: scanner.mapper.save(Path(), "")})
            self.cache.put(key, json.dumps(body).encode())
