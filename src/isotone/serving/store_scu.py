"""Forwarding by C-STORE (PS3.4 B) on pynetdicom: the bytes of the file, in a transfer syntax that is agreed upon."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isotone.errors import IsotoneError
from isotone.serving.guarded_socket import hang_up
from isotone.serving.node_settings import DicomDestination
from isotone.serving.senders import NO_ANSWER, Answer, Answered, Letter, Transcode, Unreachable, unwanted
from isotone.serving.storage_scp import implementation
from isotone.serving.tls_contexts import client_context

PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What an object is transcoded to where its own syntax is refused; no SCP may refuse the latter (PS3.5 10.1)."""
CONNECT = 10.0
"""Seconds, at most, for a connection; more: a node that ends waits longer for a destination that does not answer."""
Kind = tuple[str, str]
"""SOP class and transfer syntax."""


class StoreScu:
    """Sends to one C-STORE SCP.

    Parameters
    ----------
    ae_title : str
        Of the node.
    destination : DicomDestination
    transcode : callable

    Raises
    ------
    UsageError
        E_CONFIG: a certificate cannot be read.
    """

    def __init__(self, ae_title: str, destination: DicomDestination, transcode: Transcode) -> None:
        if destination.tls is not None:
            client_context(destination.tls)
        self._ae_title, self._destination, self._transcode = ae_title, destination, transcode
        self._association: Any = None

    def send(self, letters: Sequence[Letter]) -> Generator[Answered, None, None]:
        """See `isotone.serving.senders.Sender`."""
        kinds: dict[Letter, Kind] = {}
        for letter in letters:
            kind = _kind(letter)
            if kind is None:
                yield Answered(letter, Answer.UNWANTED, "E_READ")
            else:
                kinds[letter] = kind
        if not kinds:
            return
        association, lost = self._associate(set(kinds.values())), False
        try:
            accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
            for letter, kind in kinds.items():
                if lost or not association.is_established:
                    return
                answered = self._send(association, accepted, letter, kind)
                # Where the connection has ended, pynetdicom says so later, and waits for an answer to the next object.
                lost = answered.code == NO_ANSWER
                yield answered
        finally:
            if association.is_established and not lost:
                association.release()

    def stop(self) -> None:
        """See `isotone.serving.senders.Sender`."""
        if self._association is not None:
            hang_up(self._association)

    def _opened(self, event: Any) -> None:
        self._association = event.assoc

    def _associate(self, kinds: set[Kind]) -> Any:
        from pynetdicom import AE, _config, evt
        from pynetdicom.presentation import build_context

        _config.LOG_HANDLER_LEVEL = "none"
        _config.STORE_SEND_CHUNKED_DATASET = True  # the bytes of the file, never encoded anew
        to = self._destination
        entity = AE(self._ae_title)
        entity.implementation_class_uid, entity.implementation_version_name = implementation()
        entity.connection_timeout = min(to.timeout_seconds, CONNECT)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = to.timeout_seconds
        entity.maximum_pdu_size = 0
        # One context for each: the destination says yes or no to each transfer syntax.
        wanted = {*kinds, *((sop_class, plain) for sop_class, _ in kinds for plain in PLAIN)}
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(wanted)]
        tls = None if to.tls is None else (client_context(to.tls), to.host)
        opened: Any = [(evt.EVT_CONN_OPEN, self._opened)]
        try:
            association = entity.associate(to.host, to.port, contexts, to.ae_title, tls_args=tls, evt_handlers=opened)
        except (OSError, RuntimeError) as error:
            raise Unreachable(type(error).__name__) from None
        if not association.is_established:
            if association.is_rejected:
                raise Unreachable("the association is rejected")
            raise Unreachable("no association")
        return association

    def _send(self, association: Any, accepted: set[Kind], letter: Letter, kind: Kind) -> Answered:
        path = letter.path
        if kind not in accepted:
            plain = next((syntax for syntax in PLAIN if (kind[0], syntax) in accepted), None)
            if plain is None:
                return Answered(letter, Answer.UNWANTED, "E_CONTEXT")
            try:
                path = self._transcode(letter.path, plain)
            except IsotoneError as error:
                return unwanted(letter, error)
        try:
            status = association.send_c_store(path)
        except (OSError, ValueError, AttributeError, RuntimeError) as error:
            return Answered(letter, Answer.REJECTED, type(error).__name__)
        finally:
            if path != letter.path:
                with suppress(OSError):
                    path.unlink()
        return self._answered(letter, status.get("Status"))

    def _answered(self, letter: Letter, status: int | None) -> Answered:
        if status is None:
            return Answered(letter, Answer.REJECTED, NO_ANSWER)
        code = f"0x{status:04X}"
        if status == 0 or 0xB000 <= status <= 0xBFFF or status in (0x0001, 0x0107, 0x0116):  # PS3.7 C: warnings
            return Answered(letter, Answer.SENT, None if status == 0 else code)
        if 0xA700 <= status <= 0xA7FF:
            raise Unreachable(f"out of resources ({code})")
        return Answered(letter, Answer.REJECTED, code)


def _kind(letter: Letter) -> Kind | None:
    """SOP class and transfer syntax of a file; None where it is gone or damaged."""
    try:
        meta = read_file_meta_info(letter.path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (OSError, AttributeError, InvalidDicomError, ValueError):
        return None
