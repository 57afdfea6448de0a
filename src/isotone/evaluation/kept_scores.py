"""What a network said of inputs before: by its digest and theirs, for this evaluation and later ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.disk_cache import DiskCache, digest
from isotone.data.known import Arrays, pack, unpack
from isotone.errors import ModelError

Floats = NDArray[np.float64]

BATCH = 16
"""Inputs of each question. The last bits of a network's scores depend on how many inputs it gets at once; those of
ResNet-50 differ for 8 and for 64. So every question has this many, and scores are the same with and without a cache.
Raised, more of the last question is filling; lowered, a network is slower."""


class KeptScores:
    """Asks networks, and keeps what they say.

    Parameters
    ----------
    cache : DiskCache or None
        None, or a network without a `digest`: it is asked each time.
    """

    def __init__(self, cache: DiskCache | None) -> None:
        self.cache = cache
        self._digests: dict[int, str | None] = {}

    def ask(self, network: Any, inputs: Sequence[NDArray[np.uint16]], embedded: Sequence[bool]) -> list[Arrays]:
        """Probabilities, and features where they are wanted.

        Parameters
        ----------
        network : Classifier
        inputs : sequence of n uint16 arrays of shape (S, S)
            Grey levels × 65535.
        embedded : sequence of n bool
            Of which inputs features are wanted.

        Returns
        -------
        list of n tuples of float64 array of shape (C,) and, where wanted, float32 array of shape (D,)

        Raises
        ------
        ModelError
            E_MODEL: a score is NaN or infinite.
        """
        keys = [self._key(network, given) for given in inputs]
        found = [self._get(key, wanted) for key, wanted in zip(keys, embedded, strict=True)]
        missing = [n for n, known in enumerate(found) if known is None]
        if missing:
            said = _asked(network, [inputs[n] for n in missing], any(embedded[n] for n in missing))
            for n, own in zip(missing, said, strict=True):
                found[n] = own
                self._put(keys[n], own)
        return [known for known in found if known is not None]

    def _key(self, network: Any, given: NDArray[np.uint16]) -> str | None:
        if self.cache is None:
            return None
        if id(network) not in self._digests:
            self._digests[id(network)] = getattr(network, "digest", None)
        frozen = self._digests[id(network)]
        return frozen and digest("scores", frozen, given.shape, hashlib.sha256(given.tobytes()).hexdigest())

    def _get(self, key: str | None, wanted: bool) -> Arrays | None:
        data = None if key is None or self.cache is None else self.cache.get(key)
        known = None if data is None else unpack(data)[0]["said"]
        return known if known is None or len(known) > wanted else None

    def _put(self, key: str | None, said: Arrays) -> None:
        if key is not None and self.cache is not None:
            self.cache.put(key, pack({"said": said}, {}))


def _asked(network: Any, inputs: Sequence[NDArray[np.uint16]], features: bool) -> list[Arrays]:
    """All in one way, so that scores depend on no choice of the images whose features are wanted."""
    found: list[Arrays] = []
    for start in range(0, len(inputs), BATCH):
        given = inputs[start : start + BATCH]
        filled = [*given, *[given[-1]] * (BATCH - len(given))]
        grey = np.stack(filled).astype(np.float32) / np.float32(65535)
        said, *more = network.predict_and_embed(grey) if features else (network.predict(grey),)
        found += list(zip(finite(said), *more, strict=True))[: len(given)]
    return found


def finite(scores: Floats) -> Floats:
    """The scores themselves.

    Raises
    ------
    ModelError
        One of them is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise ModelError("E_MODEL", "the classifier's scores are not all finite")
    return scores
