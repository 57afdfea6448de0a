"""What each way of forwarding makes of a destination's answers."""

from __future__ import annotations

import http.server
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import JPEGLSLossless

from dicoms import encoded, radiograph, write
from isotone.errors import RadiographError, UsageError
from isotone.serving.guarded_socket import hang_up
from isotone.serving.node_settings import DicomDestination, WebDestination
from isotone.serving.object_queue import Due
from isotone.serving.senders import Answer, Answered, Letter, Unreachable
from isotone.serving.transcode import Transcoding

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

from isotone.serving.store_scu import StoreScu
from isotone.serving.stow_rs import StowRs
from nodes import Destination, as_dataset, free_port, objects, uid_of

STORED = b'{"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}'


class Service(http.server.BaseHTTPRequestHandler):
    """A STOW-RS service that says what the test wants."""

    answers: list[tuple[int, bytes]]
    got: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        status, said = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(said)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service() -> Iterator[http.server.HTTPServer]:
    Service.answers, Service.got = [], []
    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def letters(paths: list[Path]) -> list[Letter]:
    return [Letter(Due(n, n, f"{n:032x}", "to", path.name, 0), path) for n, path in enumerate(paths)]


def transcode(path: Path, syntax: str) -> Path:
    work = Transcoding(path, path.with_suffix(".part"), syntax)
    work.run()
    return work.target


def refuse(path: Path, syntax: str) -> Path:
    raise RadiographError("E_UNSUPPORTED", "colour")


def answers(found: Iterator[Answered]) -> list[tuple[str, str | None]]:
    return [(one.answer.value, one.code) for one in found]


def stow(service: http.server.HTTPServer, **options: object) -> StowRs:
    url = f"http://127.0.0.1:{service.server_address[1]}/dicom-web"
    return StowRs(WebDestination(kind="dicomweb", name="web", url=url, timeout_seconds=10, **options), transcode)  # type: ignore[arg-type]


def test_stow_sends_the_bytes_of_the_file_with_its_credentials(service, tmp_path, monkeypatch):
    monkeypatch.setenv("WEB_TOKEN", "secret-token")
    [path] = objects(tmp_path, 1)
    Service.answers = [(200, STORED)]
    assert answers(stow(service, token={"environment": "WEB_TOKEN"}).send(letters([path]))) == [("sent", None)]
    [(headers, body)] = Service.got
    assert path.read_bytes() in body
    assert headers["Authorization"] == "Bearer secret-token"
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"')


FAILED = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}'


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ((200, FAILED), ("rejected", "0xA900")),
        ((409, b""), ("rejected", "409")),
        ((500, b""), ("rejected", "500")),
        ((400, b""), ("rejected", "400")),
    ],
)
def test_stow_tells_an_object_that_is_rejected(service, tmp_path, said, wanted):
    Service.answers = [said]
    assert answers(stow(service).send(letters(objects(tmp_path, 1)))) == [wanted]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 503])
def test_stow_tells_a_service_that_takes_nothing_now(service, tmp_path, status):
    """Nor does it follow to another address, which would get image and credentials."""
    Service.answers = [(status, b"")]
    with pytest.raises(Unreachable):
        list(stow(service).send(letters(objects(tmp_path, 1))))


@pytest.mark.parametrize("said", [b"<html>log in</html>", b"", b"{}", b"[]", b'{"00081198": {"vr": "SQ", "Value": 5}}'])
def test_only_what_an_answer_names_as_stored_is_sent(service, tmp_path, said):
    """Whatever else answers 200 has not got the object."""
    Service.answers = [(200, said)]
    with pytest.raises(Unreachable, match="answer"):
        list(stow(service).send(letters(objects(tmp_path, 1))))


def test_a_secret_of_any_characters_is_sent_or_refused_at_the_start(service, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "zażółć€")
    Service.answers = [(200, STORED)]
    [letter] = letters(objects(tmp_path, 1))
    secret = {"environment": "SECRET"}
    assert answers(stow(service, user="ü", password=secret).send([letter])) == [("sent", None)]
    assert b64decode(Service.got[0][0]["Authorization"].split()[1]).decode() == "ü:zażółć€"
    with pytest.raises(UsageError, match="token") as refused:
        stow(service, token=secret)
    assert "€" not in str(refused.value)


def test_a_certificate_that_is_not_there_is_said_at_the_start_and_costs_no_object_later(service, tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    for tls in ({"ca": tmp_path / "none.pem"}, {"ca": tmp_path / "ca.pem"}):
        to = {"name": "d", "tls": tls}
        with pytest.raises(UsageError, match="certificate"):
            StowRs(WebDestination(kind="dicomweb", url="https://127.0.0.1", **to), transcode)
        with pytest.raises(UsageError, match="certificate"):
            StoreScu("ISOTONE", DicomDestination(kind="dicom", host="h", port=1, ae_title="D", **to), transcode)
    sender = stow(service)
    sender._client._session.verify = str(tmp_path / "none.pem")
    sender._url = sender._url.replace("http:", "https:")
    with pytest.raises(Unreachable):
        list(sender.send(letters(objects(tmp_path, 1))))


def test_stow_transcodes_where_the_media_type_is_refused(service, tmp_path):
    path = write(encoded(radiograph(), JPEGLSLossless), tmp_path / "a.dcm")
    Service.answers = [(415, b""), (200, STORED)]
    assert answers(stow(service).send(letters([path]))) == [("sent", None)]
    assert not list(tmp_path.glob("*.part"))


def scu(port: int, how: object = transcode) -> StoreScu:
    to = DicomDestination(kind="dicom", name="d", host="127.0.0.1", port=port, ae_title="DEST", timeout_seconds=10)
    return StoreScu("ISOTONE", to, how)  # type: ignore[arg-type]


def test_store_transcodes_or_gives_up_where_the_transfer_syntax_is_refused(tmp_path):
    whole = radiograph()
    path = write(encoded(radiograph(), JPEGLSLossless), tmp_path / "a.dcm")
    to = Destination()
    try:
        assert answers(scu(to.port).send(letters([path]))) == [("sent", None)]
        assert (as_dataset(to.datasets[uid_of(path)]).pixel_array == whole.pixel_array).all()
        assert answers(scu(to.port, refuse).send(letters([path]))) == [("unwanted", "E_UNSUPPORTED")]
    finally:
        to.close()


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(0xB000, ("sent", "0xB000")), (0xC000, ("rejected", "0xC000")), (0x0122, ("rejected", "0x0122"))],
)
def test_store_tells_warnings_from_failures(tmp_path, status, wanted):
    to = Destination(status=lambda uid: status)
    try:
        assert answers(scu(to.port).send(letters(objects(tmp_path, 1)))) == [wanted]
    finally:
        to.close()


def test_a_destination_that_is_away_or_full_is_to_blame_and_no_object(tmp_path):
    paths = letters(objects(tmp_path, 1))
    with pytest.raises(Unreachable):
        list(scu(free_port()).send(paths))
    to = Destination(status=lambda uid: 0xA700)
    try:
        with pytest.raises(Unreachable, match="out of resources"):
            list(scu(to.port).send(paths))
    finally:
        to.close()


def test_a_destination_that_dies_costs_one_object_a_try_and_the_others_wait(tmp_path):
    def die(_: str) -> int:
        for one in to._server.active_associations:
            hang_up(one)
        return 0

    to = Destination(status=die)
    try:
        assert answers(scu(to.port).send(letters(objects(tmp_path, 3)))) == [("rejected", "no answer")]
    finally:
        to.close()


def test_a_file_that_is_gone_is_no_delivery(tmp_path):
    gone = letters([tmp_path / "none.dcm"])
    assert [one.answer for one in scu(free_port()).send(gone)] == [Answer.UNWANTED]
