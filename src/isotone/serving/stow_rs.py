"""Forwarding by DICOMweb STOW-RS (PS3.18 10.5) on dicomweb-client: the bytes of the file, one object a request."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from isotone.errors import IsotoneError
from isotone.serving.http_session import http_session
from isotone.serving.node_settings import WebDestination
from isotone.serving.senders import NO_ANSWER, Answer, Answered, Letter, Transcode, Unreachable, unwanted

MULTIPART = 'multipart/related; type="application/dicom"; boundary="{}"'
"""Media type of a request (PS3.18 8.6.1). The boundary is random each time: no sender can put one into its object."""
NOT_NOW = {401, 403, 404, 408, 429, 502, 503, 504, 507}
"""Answers that say nothing of the object: credentials, address, load."""
UNSUPPORTED = 415
"""The media type, which is the transfer syntax, is refused."""


class StowRs:
    """Sends to one service.

    Parameters
    ----------
    destination : WebDestination
    transcode : callable

    Raises
    ------
    UsageError
        E_CONFIG: a secret cannot be read.
    """

    def __init__(self, destination: WebDestination, transcode: Transcode) -> None:
        from dicomweb_client.api import DICOMwebClient

        session = http_session(destination.tls, destination.token)
        if destination.user is not None and destination.password is not None:
            session.auth = (destination.user.encode(), destination.password.read().encode())  # UTF-8 (RFC 7617 2.1)
        self._client = DICOMwebClient(destination.url, session=session, timeout=destination.timeout_seconds)
        self._client.set_http_retry_params(retry=False)  # the queue tries again
        self._url = f"{destination.url.rstrip('/')}/studies"
        self._transcode = transcode

    def send(self, letters: Sequence[Letter]) -> Generator[Answered, None, None]:
        """See `isotone.serving.senders.Sender`."""
        for letter in letters:
            answered = self._send(letter, letter.path)
            if answered.code == str(UNSUPPORTED):
                try:
                    path = self._transcode(letter.path, str(ExplicitVRLittleEndian))
                except IsotoneError as error:
                    yield unwanted(letter, error)
                    continue
                answered = self._send(letter, path)
                with suppress(OSError):
                    path.unlink()
                if answered.code == str(UNSUPPORTED):
                    answered = Answered(letter, Answer.UNWANTED, str(UNSUPPORTED))
            yield answered

    def stop(self) -> None:
        """See `isotone.serving.senders.Sender`: its thread ends with the process."""

    def _send(self, letter: Letter, path: Any) -> Answered:
        import requests

        try:
            data = path.read_bytes()
        except OSError:
            return Answered(letter, Answer.UNWANTED, "E_READ")
        try:
            # `store_instances` would encode the object anew: other bytes under the same UID.
            media = MULTIPART.format(uuid4())
            body = self._client._encode_multipart_message([data], media)
            response = self._client._http_post(self._url, body, headers={"Content-Type": media})
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if status in NOT_NOW:
                raise Unreachable(f"HTTP status {status}") from None
            return Answered(letter, Answer.REJECTED, str(status))
        except requests.ReadTimeout:
            return Answered(letter, Answer.REJECTED, NO_ANSWER)
        except OSError as error:  # requests' own, and a certificate that is gone
            raise Unreachable(type(error).__name__) from None
        return _answered(letter, response)


def _answered(letter: Letter, response: Any) -> Answered:
    """What the Store Instances Response says (PS3.18 I.2): only an object that it names is stored.

    Raises
    ------
    Unreachable
        It is no such response: what answers is a page to log in, say, and no STOW-RS service.
    """
    try:
        done = _dataset(response)
        failed = done.get("FailedSOPSequence")
        if failed:
            return Answered(letter, Answer.REJECTED, f"0x{int(failed[0].get('FailureReason') or 0):04X}")
        stored = bool(done.get("ReferencedSOPSequence"))
    except Exception as error:  # whatever the parsers raise of a stranger's text
        raise Unreachable(f"its answer cannot be read ({type(error).__name__})") from None
    if not stored:
        raise Unreachable(f"its answer (HTTP status {response.status_code}) names no stored object")
    return Answered(letter, Answer.SENT)


def _dataset(response: Any) -> Dataset:
    """The response, whichever of its two media types it has; empty where it has another."""
    from xml.etree.ElementTree import fromstring

    from dicomweb_client.web import _load_xml_dataset

    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media in ("application/dicom+json", "application/json"):
        return Dataset.from_json(response.json())
    if media in ("application/dicom+xml", "application/xml", "text/xml"):
        return cast(Dataset, _load_xml_dataset(fromstring(response.content)))
    return Dataset()
