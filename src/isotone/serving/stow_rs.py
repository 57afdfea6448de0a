"""Forwarding by DICOMweb STOW-RS (PS3.18 10.5) on dicomweb-client: the bytes of the file, one object a request."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from isotone.errors import IsotoneError
from isotone.serving.http_session import http_session
from isotone.serving.node_settings import WebDestination
from isotone.serving.senders import Answer, Answered, Letter, Transcode, Unreachable, unwanted

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
            session.auth = (destination.user, destination.password.read())
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
            # `store_instances` would encode the object anew: other bytes under the same UID.
            done = self._client._http_post_multipart_application_dicom(self._url, [path.read_bytes()])
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if status in NOT_NOW:
                raise Unreachable(f"HTTP status {status}") from None
            return Answered(letter, Answer.REJECTED, str(status))
        except requests.ReadTimeout:
            return Answered(letter, Answer.REJECTED, "no answer")
        except requests.RequestException as error:
            raise Unreachable(type(error).__name__) from None
        except OSError:
            return Answered(letter, Answer.UNWANTED, "E_READ")
        failed = done.get("FailedSOPSequence")
        if failed:
            return Answered(letter, Answer.REJECTED, f"0x{int(failed[0].get('FailureReason', 0)):04X}")
        return Answered(letter, Answer.SENT)
