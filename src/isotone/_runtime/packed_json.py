"""Small JSON objects as few bytes: deflated (RFC 1951) with a dictionary of what they have alike."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

ALIKE = (
    b'{"clipped_share":0.0,"code":"E_DUPLICATE","instance":"0123456789abcdef","levels_kept":4096,'
    b'"look":[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,-0.0,1.0],"status":"harmonized","warnings":["W_'
)
"""Part of the format: whoever changes a byte can read no object that was packed before."""
LARGEST = 2**20
"""Bytes of an object; above it the packed bytes are an attack."""
WINDOW, MEMORY = -10, 1
"""zlib's window of 2^10 bytes without header, and its least memory: the objects are shorter than that."""


def pack(value: Mapping[str, Any]) -> bytes:
    """An object as bytes.

    Examples
    --------
    >>> unpack(pack({"status": "harmonized"}))
    {'status': 'harmonized'}
    """
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, WINDOW, MEMORY, zlib.Z_DEFAULT_STRATEGY, ALIKE)
    return packer.compress(text) + packer.flush()


def unpack(data: bytes | str) -> dict[str, Any]:
    """The object that was packed, or that is JSON as it stands.

    Raises
    ------
    ValueError
        It is neither.
    """
    if isinstance(data, bytes):
        unpacker = zlib.decompressobj(WINDOW, ALIKE)
        try:
            data = unpacker.decompress(data, LARGEST).decode()
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if not unpacker.eof:
            raise ValueError("cut short, or too long")
    found: dict[str, Any] = json.loads(data)
    return found
