"""Small JSON objects as few bytes."""

from __future__ import annotations

import hashlib
import json
import zlib

import numpy as np
import pytest

from isotone._runtime.packed_json import ALIKE, LARGEST, pack, unpack

LOOK = np.round(np.random.default_rng(0).random(30), 6).tolist()
ENTRY = {"status": "harmonized", "levels_kept": 4096, "instance": hashlib.sha256().hexdigest()[:32], "look": LOOK}


def test_what_was_packed_comes_back_and_takes_fewer_bytes() -> None:
    assert unpack(pack(ENTRY)) == ENTRY
    assert len(pack(ENTRY)) < 0.6 * len(json.dumps(ENTRY, separators=(",", ":")))


def test_json_of_an_older_build_is_read() -> None:
    assert unpack(json.dumps(ENTRY)) == ENTRY


def test_packed_bytes_of_an_older_build_are_read() -> None:
    """Fails whenever the format changes."""
    assert hashlib.sha256(ALIKE).hexdigest()[:8] == "3956f907"


@pytest.mark.parametrize("data", [b"", b"\xff\xff", pack(ENTRY)[:-2], b"\x00" * 9])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(data)


def test_a_few_bytes_do_not_become_many() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -10, 9, zlib.Z_DEFAULT_STRATEGY, ALIKE)
    with pytest.raises(ValueError, match="too long"):
        unpack(packer.compress(b" " * (LARGEST + 1)) + packer.flush())
