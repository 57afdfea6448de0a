"""By what an image is known again, whatever its file is called and however it was written."""

from __future__ import annotations

import hashlib

import numpy as np

from isotone.imaging.radiograph import Radiograph

SIDE = 256
"""Longest side, in pixels, of what is hashed: every k-th pixel. Larger: slower, and no image is told apart better."""
TELLING = 64
"""Distinct stored values from which on their order alone tells an image. With fewer, the values are hashed."""


def pixel_identity(radiograph: Radiograph) -> str:
    """A digest of the shape of an image and of the order of its grey levels.

    The stored values are replaced by their ranks, and the ranks are turned around where most of them are high. So the
    digest is the same behind every strictly monotone map of grey levels: another transfer syntax or file format, 12
    bits written into 16, a rescaled or inverted copy, a tone curve. Another size, a crop, an export that joins grey
    levels (8 bits of 12), and lossy compression change it.

    Parameters
    ----------
    radiograph : Radiograph
        Read whole.

    Returns
    -------
    str
        32 hexadecimals: the first half of a SHA-256.
    """
    stored = radiograph.decimated(SIDE).stored.astype(np.int64)
    present = np.bincount(stored.ravel()) > 0
    if present.sum() >= TELLING:
        stored = (np.cumsum(present) - 1)[stored]
        turned = int(stored.max()) - stored
        stored = min(stored, turned, key=lambda ranks: (int(ranks.sum()), ranks.tobytes()))
    digest = hashlib.sha256(repr(radiograph.stored.shape).encode())
    digest.update(stored.astype("<u2").tobytes())
    return digest.hexdigest()[:32]
