"""The node as DICOM peers see it: C-ECHO and C-STORE SCP (PS3.4 A, B) on pynetdicom."""

from __future__ import annotations

import threading
import time
from socketserver import BaseServer
from typing import Any

from isotone._version import __version__
from isotone.deployment.dicom_objects.write import IMPLEMENTATION
from isotone.errors import IsotoneError, UsageError
from isotone.serving.guarded_socket import GuardedSocket, hang_up
from isotone.serving.intake import Incoming, Intake
from isotone.serving.node_settings import NodeSettings
from isotone.serving.spool import Spool
from isotone.serving.tls_contexts import server_context

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Status of C-STORE (PS3.4 B.2.3)."""
WAITING = 8
"""Connections that may be without an association, for each association that may be open: as many of one address as
associations, in all `WAITING` times as many. Those of one address cost no other address its association."""
TOO_MANY = (0x02, 0x03, 0x02)
UNKNOWN_CALLER = (0x01, 0x01, 0x03)
"""Result, source and reason of a rejection (PS3.8 9.3.4)."""
GOODBYE = 1.0
"""Seconds that peers get to take an A-ABORT in, before their connections end."""
ENDING = 5.0
"""Seconds that threads of ended connections get."""
VERIFICATION = "1.2.840.10008.1.1"
GUARD = "isotone_guard"


class StorageScp:
    """Binds with `start`; `run` is the thread that listens until `stop`.

    Parameters
    ----------
    settings : NodeSettings
    spool : Spool
    intake : Intake
    """

    def __init__(self, settings: NodeSettings, spool: Spool, intake: Intake) -> None:
        self._settings, self._spool, self._intake = settings, spool, intake
        self._server: Any = None
        self._lock = threading.Lock()
        self._open: list[Any] = []

    def start(self) -> None:
        """Bind.

        Raises
        ------
        UsageError
            E_CONFIG: the address cannot be bound, or a certificate not be read.
        """
        from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
        from pynetdicom.presentation import build_context

        _config.LOG_HANDLER_LEVEL = "none"  # its log lines quote headers
        settings, limits = self._settings, self._settings.limits
        entity = AE(settings.ae_title)
        entity.implementation_class_uid, entity.implementation_version_name = implementation()
        entity.maximum_pdu_size = limits.pdu_bytes
        entity.maximum_associations = 2 * WAITING * limits.associations  # it counts connections; `_requested` counts
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = limits.idle_seconds
        entity.require_called_aet = True
        entity.require_calling_aet = sorted({peer.ae_title for peer in settings.peer})
        syntaxes = transfer_syntaxes()
        storage = [build_context(str(known.abstract_syntax), syntaxes) for known in AllStoragePresentationContexts]
        entity.supported_contexts = [build_context(VERIFICATION), *storage]
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._stored),
        ]
        tls = None if settings.tls is None else server_context(settings.tls)
        try:
            # One thread accepts, so that connections are counted as they come.
            self._server = entity.make_server((settings.host, settings.port), ssl_context=tls, evt_handlers=handlers)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UsageError(f"cannot listen on {where}: {error.strerror}", code="E_CONFIG") from None
        self._server.verify_request = self._welcome

    def run(self) -> None:
        """Listen until it is stopped."""
        self._server.serve_forever()

    def stop(self) -> None:
        """End every association, within seconds whatever its peer does; what was acknowledged is safe."""
        if self._server is None:
            return
        BaseServer.shutdown(self._server)
        self._server.server_close()
        ending = [threading.Thread(target=one.abort, daemon=True) for one in self._server.active_associations]
        for thread in ending:
            thread.start()
        wait_for(ending, GOODBYE)
        for association in self._server.active_associations:
            hang_up(association)
        wait_for(ending, ENDING)

    def _welcome(self, _: Any, address: tuple[Any, ...]) -> bool:
        """Whether a connection is taken: it comes from a peer's address, and not too many wait for an association."""
        peers, limit = self._settings.peer, self._settings.limits.associations
        others = [one for one in self._server.active_associations if one not in self._open]
        here = [one for one in others if one.requestor.address == address[0]]
        silent = [one for one in here if one.requestor.primitive is None]  # the others end, and wait for their peers
        known = not peers or any(peer.covers(address[0]) for peer in peers)
        few = len(silent) < limit and len(here) < WAITING // 2 * limit and len(others) < WAITING * limit
        return known and few

    def _connected(self, event: Any) -> None:
        """A connection: guard it."""
        setattr(event.assoc, GUARD, GuardedSocket(event.assoc.dul.socket, self._settings.limits))

    def _requested(self, event: Any) -> None:
        """An association: reject it where there are too many, or its title may not come from that address."""
        association, peers = event.assoc, self._settings.peer
        called = str(association.requestor.primitive.calling_ae_title).strip()
        address = association.requestor.address
        if peers and not any(peer.ae_title == called and peer.covers(address) for peer in peers):
            _reject(association, UNKNOWN_CALLER)
            return
        with self._lock:
            self._open = [one for one in self._open if one.is_alive() and not (one.is_released or one.is_aborted)]
            left = self._settings.limits.associations - len(self._open)
            here = any(one.requestor.address == address for one in self._open)
            full = left < 1 or (left == 1 and here)  # the last place is for an address that has none
            if not full:
                self._open.append(association)
        if full:
            _reject(association, TOO_MANY)

    def _stored(self, event: Any) -> int:
        """An object: success is answered when it is on the disk and in the queue, and not before."""
        getattr(event.assoc, GUARD).next_object()
        body = event.request.DataSet.getbuffer()
        limits = self._settings.limits
        if len(body) > limits.object_bytes or self._spool.free() < limits.free_bytes + len(body):
            return OUT_OF_RESOURCES
        meta = event.file_meta
        incoming = Incoming(
            _head(meta),
            body,
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            event.assoc.requestor.ae_title.strip(),
        )
        try:
            self._intake.take(incoming)
        except IsotoneError as error:
            return MISMATCH if error.code == "E_NOT_DICOM" else OUT_OF_RESOURCES
        except Exception:  # nothing is known of where it is: the sender keeps it
            return CANNOT_UNDERSTAND
        return SUCCESS


def _reject(association: Any, why: tuple[int, int, int]) -> None:
    association.acse.send_reject(*why)
    association.kill()


def wait_for(threads: list[threading.Thread], seconds: float) -> None:
    """Wait until threads have ended, so many seconds for all of them."""
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))


def transfer_syntaxes() -> list[str]:
    """Every transfer syntax that is taken: those that are read, first, and those that an archive may want."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    from isotone.imaging.codecs.codecs import CODECS
    from isotone.imaging.dicom.frame import NATIVE

    return list(dict.fromkeys([*sorted(map(str, NATIVE)), *map(str, CODECS), *map(str, ALL_TRANSFER_SYNTAXES)]))


def implementation() -> tuple[str, str]:
    """Implementation class UID and version name of the node (PS3.7 D.3.3.2)."""
    return str(IMPLEMENTATION), f"ISOTONE_{__version__}"[:16]


def _head(meta: Any) -> bytes:
    """Preamble and file meta information."""
    from pynetdicom.dsutils import encode_file_meta

    return bytes(128) + b"DICM" + bytes(encode_file_meta(meta))
