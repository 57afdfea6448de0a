"""Arrays kept on disk under a key and mapped from there, so that they may be more than fit into memory.

A cache is a folder of volumes. A volume is a safetensors file of many arrays, written whole and never changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.files import replace_file

VOLUME = 2**28
"""Bytes at which a volume is written. Each one holds a file descriptor while it is used."""
DTYPES = {"F32": np.float32, "U16": np.uint16, "BOOL": np.bool_}

Entry = tuple[dict[str, NDArray[Any]], dict[str, Any]]
"""Named arrays, and notes that JSON can hold."""


class ArrayCache:
    """Entries by key.

    Parameters
    ----------
    folder : Path
        Made with the first volume. Several processes may use it at once. A volume that is damaged is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, Entry] = {}
        self._pending: dict[str, Entry] = {}
        self._bytes = 0
        for path in sorted(folder.glob("[!.]*.safetensors")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                self._found |= _mapped(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __getitem__(self, key: str) -> Entry:
        """The read-only arrays, in memory only while they are looked at, and the notes."""
        return self._found[key]

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]], notes: dict[str, Any]) -> None:
        """Keep float32, uint16 or bool arrays; on disk with the volume that they fill, or with `flush`."""
        self._pending[key] = dict(arrays), notes
        self._bytes += sum(array.nbytes for array in arrays.values())
        if self._bytes >= VOLUME:
            self.flush()

    def flush(self) -> None:
        """Write what is pending.

        Raises
        ------
        IsotoneError
            E_WRITE: the disk is full, or the folder cannot be written to.
        """
        import safetensors.numpy  # belongs to the half that trains

        if not self._pending:
            return
        path = self.folder / f"{hashlib.sha256(''.join(self._pending).encode()).hexdigest()[:16]}.safetensors"
        tensors = {
            f"{key}/{name}": np.ascontiguousarray(array)
            for key, (arrays, _) in self._pending.items()
            for name, array in arrays.items()
        }
        notes = json.dumps({key: notes for key, (_, notes) in self._pending.items()})
        with replace_file(path) as temporary:
            temporary.write_bytes(safetensors.numpy.save(tensors, {"notes": notes}))
        self._pending.clear()
        self._bytes = 0
        self._found |= _mapped(path)


def _mapped(path: Path) -> dict[str, Entry]:
    """The entries of a volume; see the safetensors format: a length, a header as JSON, the arrays."""
    data = np.asarray(np.memmap(path, np.uint8, "r"))
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    entries: dict[str, Entry] = {
        key: ({}, notes) for key, notes in json.loads(header.pop("__metadata__")["notes"]).items()
    }
    for name, told in header.items():
        key, _, field = name.rpartition("/")
        first, last = told["data_offsets"]
        flat: NDArray[Any] = data[start + first : start + last].view(DTYPES[told["dtype"]])
        entries[key][0][field] = flat.reshape(told["shape"])
    return entries
