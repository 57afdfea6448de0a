"""What is known of one image: arrays by name, each worked out once, for all fits that see the image.

With a `DiskCache` they outlive the process, by the digest of the image's content. They hold regions, descriptors and
counts of grey levels, no pixel and no identifier.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.disk_cache import DiskCache, digest

Arrays = tuple[NDArray[Any], ...]

LEVEL = 1
"""Of zlib: outlines shrink to a twentieth at once, numbers hardly at any level."""


@dataclass(eq=False)
class Known:
    """What is known of one image.

    Attributes
    ----------
    key : str
        Of the image's content (`isotone.data.file_digest`); "": it is not kept on disk.
    arrays : dict of str to tuple of array
    notes : dict of str to JSON
        What its file says.
    fresh : bool
        Whether something is known that the disk does not have.

    Examples
    --------
    >>> known = Known()
    >>> [known.of("mean", lambda: (np.array(0.5),))[0].item() for _ in range(2)]
    [0.5, 0.5]
    """

    key: str = ""
    arrays: dict[str, Arrays] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False

    def of(self, name: str, work: Callable[[], Arrays]) -> Arrays:
        """The arrays of this name, worked out where they are not known."""
        if name not in self.arrays:
            self.arrays[name] = work()
            self.fresh = True
        return self.arrays[name]

    def keep(self, cache: DiskCache) -> None:
        """Write it down, if the image has a key and the disk does not have all of it."""
        if self.key and self.fresh:
            cache.put(entry_of(self.key), pack(self.arrays, self.notes))
            self.fresh = False


def recall(key: str, cache: DiskCache) -> Known | None:
    """What the disk has of an image; None: nothing."""
    data = cache.get(entry_of(key))
    return None if data is None else Known(key, *unpack(data))


def entry_of(key: str) -> str:
    """The cache's key of what is known of an image."""
    return digest("known", key)


def pack(arrays: Mapping[str, Arrays], notes: Mapping[str, Any]) -> bytes:
    """Arrays and notes as bytes: a line of JSON and the numbers, deflated."""
    shapes = {name: [[array.dtype.str, array.shape] for array in group] for name, group in arrays.items()}
    head = json.dumps({"arrays": shapes, "notes": dict(notes)}).encode()
    body = [
        (np.packbits(array) if array.dtype.kind == "b" else np.ascontiguousarray(array)).tobytes()
        for group in arrays.values()
        for array in group
    ]
    return zlib.compress(b"\n".join([head, b"".join(body)]), LEVEL)


def unpack(data: bytes) -> tuple[dict[str, Arrays], dict[str, Any]]:
    """What was packed; the arrays are read-only."""
    head, _, body = zlib.decompress(data).partition(b"\n")
    told = json.loads(head)
    arrays: dict[str, Arrays] = {}
    start = 0
    for name, group in told["arrays"].items():
        found = []
        for kind, shape in group:
            dtype, count = np.dtype(kind), int(np.prod(shape))
            if dtype.kind == "b":
                taken = -(-count // 8)
                bits = np.frombuffer(body, np.uint8, taken, start)
                found.append(np.unpackbits(bits, count=count).reshape(shape).astype(bool))
            else:
                taken = count * dtype.itemsize
                found.append(np.frombuffer(body, dtype, count, start).reshape(shape))
            start += taken
        arrays[name] = tuple(found)
    return arrays, told["notes"]
