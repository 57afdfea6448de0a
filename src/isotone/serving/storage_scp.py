"""The node as DICOM peers see it: C-ECHO and C-STORE SCP (PS3.4 A, B) on pynetdicom."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from isotone._version import __version__
from isotone.deployment.dicom_objects.write import IMPLEMENTATION
from isotone.errors import IsotoneError, UsageError
from isotone.serving.guarded_socket import GuardedSocket
from isotone.serving.intake import Incoming, Intake
from isotone.serving.node_settings import NodeSettings
from isotone.serving.spool import Spool
from isotone.serving.tls_contexts import server_context

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Status of C-STORE (PS3.4 B.2.3)."""
WAITING = 2
"""Connections that may be without an association, for each association that may be open."""
VERIFICATION = "1.2.840.10008.1.1"
GUARD = "isotone_guard"


class StorageScp:
    """Listens from `start` to `stop`.

    Parameters
    ----------
    settings : NodeSettings
    spool : Spool
    intake : Intake
    """

    def __init__(self, settings: NodeSettings, spool: Spool, intake: Intake) -> None:
        self._settings, self._spool, self._intake = settings, spool, intake
        self._server: Any = None

    def start(self) -> None:
        """Bind and listen.

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
        entity.maximum_associations = limits.associations
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = limits.idle_seconds
        entity.require_called_aet = True
        entity.require_calling_aet = sorted({peer.ae_title for peer in settings.peer})
        syntaxes = transfer_syntaxes()
        storage = [build_context(str(known.abstract_syntax), syntaxes) for known in AllStoragePresentationContexts]
        entity.supported_contexts = [build_context(VERIFICATION), *storage]
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_ESTABLISHED, self._established),
            (evt.EVT_C_STORE, self._stored),
        ]
        tls = None if settings.tls is None else server_context(settings.tls)
        try:
            self._server = entity.start_server(
                (settings.host, settings.port), block=False, ssl_context=tls, evt_handlers=handlers
            )
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UsageError(f"cannot listen on {where}: {error.strerror}", code="E_CONFIG") from None

    def stop(self) -> None:
        """End every association; what was acknowledged is safe."""
        if self._server is not None:
            self._server.shutdown()
            for association in self._server.active_associations:
                association.abort()

    def _connected(self, event: Any) -> None:
        """A connection: guard it; close it where it comes from nobody's address, or where there are too many."""
        association = event.assoc
        setattr(association, GUARD, GuardedSocket(association.dul.socket, self._settings.limits))
        peers, many = self._settings.peer, (1 + WAITING) * self._settings.limits.associations
        known = not peers or any(peer.covers(event.address[0]) for peer in peers)
        if not known or len(association._server.active_associations) >= many:
            with suppress(OSError):
                association.dul.socket.socket.close()

    def _established(self, event: Any) -> None:
        """An association: end it where this AE title may not come from that address."""
        requestor = event.assoc.requestor
        peers = [peer for peer in self._settings.peer if peer.ae_title == requestor.ae_title.strip()]
        if self._settings.peer and not any(peer.covers(requestor.address) for peer in peers):
            event.assoc.abort()

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
