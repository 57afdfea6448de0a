"""What a peer may send before its association ends: unit by unit, object by object, second by second.

pynetdicom reads as many bytes as the peer announces for a protocol data unit, up to four gigabytes
(https://github.com/pydicom/pynetdicom/issues/1086), and waits for ever for the rest of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from isotone.serving.node_settings import Limits

HEADER = 6
"""Bytes of a unit before its value (PS3.8 9.3.1)."""
NEGOTIATION = 2**18
"""Bytes of an association request, at most: 128 presentation contexts with every transfer syntax take 0.1 of that."""
OVERHEAD = 1.25
"""Bytes on the wire for each of an object, beside units of 64 bytes and more."""


class GuardedSocket:
    """Stands before the `recv` of one association's socket; what exceeds a limit ends the connection.

    Parameters
    ----------
    socket : pynetdicom.transport.AssociationSocket
    limits : Limits
    """

    def __init__(self, socket: Any, limits: Limits) -> None:
        self._recv: Callable[[int], bytearray] = socket.recv
        self._limits = limits
        self._object = 0
        self._started, self._total = time.monotonic(), 0
        socket.recv = self.recv
        socket.socket.settimeout(limits.idle_seconds)

    def recv(self, count: int) -> bytearray:
        """As many bytes as are announced.

        Raises
        ------
        OSError
            A limit is exceeded; pynetdicom then closes the connection.
        """
        self._object += count
        if count > HEADER and count > max(self._limits.pdu_bytes, NEGOTIATION):
            raise OSError("a unit is larger than was agreed")
        if self._object > OVERHEAD * self._limits.object_bytes + NEGOTIATION:
            raise OSError("an object is larger than may be")
        rate = self._limits.bytes_per_second
        if rate is not None:
            self._total += count
            ahead = self._total / rate - (time.monotonic() - self._started)
            if ahead > 0:
                time.sleep(min(ahead, self._limits.idle_seconds))
            elif ahead < -1:  # what was not used is not saved up
                self._started, self._total = time.monotonic(), 0
        return self._recv(count)

    def next_object(self) -> None:
        """An object is complete: the next one may be as large."""
        self._object = 0
