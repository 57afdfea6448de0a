"""HTJ2K: the pixels of OpenJPEG, in less time; what that refuses stays refused."""

from __future__ import annotations

import sys

import imagecodecs
import numpy as np
import pytest

from dicoms import pixels
from isotone.imaging.codecs import htj2k
from isotone.imaging.codecs.htj2k import htj2k_decode

SIGNED = (pixels().astype(np.int32) - 2048).astype(np.int16)
KINDS = {
    "12": pixels(),
    "16": pixels(16),
    "8": pixels(8).astype(np.uint8),
    "signed": SIGNED,
    "one-row": pixels(rows=1, columns=50),
    "one-column": pixels(rows=33, columns=1),
}


def by_openjpeg(frame: bytes) -> np.ndarray:
    return imagecodecs.jpeg2k_decode(frame, numthreads=1)


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_the_pixels_are_those_of_openjpeg(monkeypatch, name, lossy):
    options = {"level": 0.001, "reversible": False} if lossy else {}
    frame = bytes(imagecodecs.htj2k_encode(KINDS[name], **options))
    wanted = by_openjpeg(frame)
    if not lossy:
        np.testing.assert_array_equal(wanted, KINDS[name])
        monkeypatch.setattr(imagecodecs, "jpeg2k_decode", None)  # OpenJPH has done it alone
    found = htj2k_decode(frame)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_a_codestream_in_a_box_and_one_of_jpeg_2000_are_decoded():
    frame = bytes(imagecodecs.htj2k_encode(pixels()))
    boxed = b"\0\0\0\x0cjP  \r\n\x87\n" + (8 + len(frame)).to_bytes(4, "big") + b"jp2c" + frame
    for one in (boxed, bytes(imagecodecs.jpeg2k_encode(pixels(), codecformat="j2k"))):
        if one is boxed:
            assert htj2k._is_whole(one)
            continue
        np.testing.assert_array_equal(htj2k_decode(one), pixels())


def damaged(frame: bytes, kind: str, rng: np.random.Generator) -> bytes:
    data = bytearray(frame)
    if kind == "cut":
        return bytes(data[: rng.integers(100, len(data) - 2)]) + b"\xff\xd9"
    at = int(rng.integers(len(data) - 60))
    if kind == "bit":
        data[at] ^= 1 << rng.integers(8)
    else:
        data[at : at + 50] = bytes(50)
    return bytes(data)


@pytest.mark.parametrize("kind", ["cut", "bit", "zeros"])
def test_damage_that_openjpeg_refuses_is_refused(kind):
    frame = bytes(imagecodecs.htj2k_encode(pixels(rows=128, columns=160)))
    rng, refused, hook = np.random.default_rng(0), 0, sys.unraisablehook
    for _ in range(60):
        spoilt = damaged(frame, kind, rng)
        try:
            by_openjpeg(spoilt)
        except Exception:
            refused += 1
            with pytest.raises(Exception):  # noqa: B017, PT011 (codecs raise types of their own)
                htj2k_decode(spoilt)
    assert refused > (50 if kind == "cut" else 3)
    assert sys.unraisablehook is hook
