"""What a peer may send before its association ends: unit by unit, object by object, second by second.

pynetdicom reads as many bytes as the peer announces for a protocol data unit, up to four gigabytes
(https://github.com/pydicom/pynetdicom/issues/1086), and waits for the rest of one as long as a byte comes now and then.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from isotone.serving.node_settings import Limits

HEADER = 6
"""Bytes of a unit before its value (PS3.8 9.3.1)."""
NEGOTIATION = 2**18
"""Bytes of an association request, at most: 128 presentation contexts with every transfer syntax take 0.1 of that."""
OVERHEAD = 1.25
"""Bytes on the wire for each of an object, beside units of 64 bytes and more."""
PIECE = 2**16
"""Bytes of one read; more: fewer calls of the system, and as much memory for each association."""


class GuardedSocket:
    """Stands before the `recv` of one association's socket; what exceeds a limit ends the connection.

    Parameters
    ----------
    association_socket : pynetdicom.transport.AssociationSocket
    limits : Limits
    """

    def __init__(self, association_socket: Any, limits: Limits) -> None:
        self._raw: Any = association_socket.socket
        self._limits = limits
        self._object = 0
        self._started, self._total = time.monotonic(), 0
        association_socket.recv = self.recv
        self._raw.settimeout(limits.idle_seconds)

    def recv(self, count: int) -> bytearray:
        """As many bytes as are announced, or fewer where the peer ends the connection.

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
        self._slow_down(count)
        try:
            return self._read(count)
        finally:
            self._raw.settimeout(self._limits.idle_seconds)

    def next_object(self) -> None:
        """An object is complete: the next one may be as large."""
        self._object = 0

    def _slow_down(self, count: int) -> None:
        rate = self._limits.bytes_per_second
        if rate is None:
            return
        self._total += count
        ahead = self._total / rate - (time.monotonic() - self._started)
        if ahead > 0:
            time.sleep(min(ahead, self._limits.idle_seconds))
        elif ahead < -1:  # what was not used is not saved up
            self._started, self._total = time.monotonic(), 0

    def _read(self, count: int) -> bytearray:
        unit = bytearray()
        end = time.monotonic() + self._limits.idle_seconds
        while len(unit) < count:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("a unit takes too long")
            self._raw.settimeout(left)
            piece = self._raw.recv(min(count - len(unit), PIECE))
            if not piece:
                break
            unit += piece
        return unit


def hang_up(association: Any) -> None:
    """End the connection of an association: whatever waits for its peer stops waiting.

    A thread of pynetdicom that waits for a peer outlives the node's other threads, and holds its process.
    """
    raw = getattr(association.dul.socket, "socket", None)
    if raw is not None:
        with suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)
