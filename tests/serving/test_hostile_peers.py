"""A peer that sends garbage, too much or too slowly costs its own association, and no file of anybody else."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dicoms import radiograph, write

pytest.importorskip("pynetdicom")

from nodes import Destination, RunningNode, objects, send, until

pytestmark = pytest.mark.slow
LIMITS = """
[[peer]]
ae_title = "SENDER"
address = ["127.0.0.0/8"]
[[peer]]
ae_title = "ELSEWHERE"
address = ["192.0.2.0/24"]
[limits]
free_bytes = 0
object_bytes = 65536
idle_seconds = 2
associations = 3
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    to = Destination()
    made = RunningNode(tmp_path_factory.mktemp("hostile") / "node", to.table("archive") + to.table("ai") + LIMITS)
    made.start()
    yield made
    made.stop()
    to.close()


@pytest.fixture(autouse=True)
def _still_serves(node: RunningNode, tmp_path: Path) -> Iterator[None]:
    """Whatever a peer did, the next one is served."""
    yield
    [path] = objects(tmp_path / "honest", 1, StudyID=tmp_path.name[-16:])
    until(lambda: set(send(node.port, [path]).values()) == {0}, 20)


def connect(node: RunningNode, source: str = "127.0.0.1") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", node.port), 20, (source, 0))
    peer.settimeout(20)
    return peer


def ended(peer: socket.socket) -> bool:
    """Whether the node closes the connection, whatever it says before."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        np.random.default_rng(0).bytes(5000),
        struct.pack(">BBL", 1, 0, 2**32 - 1) + bytes(2**16),  # an association request of four gigabytes
        struct.pack(">BBL", 4, 0, 2**31) + bytes(2**16),
        struct.pack(">BBL", 1, 0, 100) + bytes(100),
        struct.pack(">BBL", 1, 0, 2000) + b"half",  # and nothing more
    ],
    ids=["http", "noise", "4 GB", "data first", "zeros", "stalled"],
)
def test_a_connection_of_garbage_is_closed(node, sent):
    with connect(node) as peer:
        peer.sendall(sent)
        assert ended(peer)


def test_a_peer_that_drips_is_closed(node):
    """A byte now and then keeps no unit open for ever."""
    with connect(node) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 2000))

        def drip() -> None:
            for _ in range(200):
                peer.sendall(b"x")
                time.sleep(0.1)

        with pytest.raises(ConnectionError):
            drip()


def test_connections_without_an_association_cost_other_addresses_none(node, tmp_path):
    """Three associations may be open; ten connections wait for theirs."""
    idle = [connect(node, "127.0.0.2") for _ in range(10)]
    assert set(send(node.port, objects(tmp_path / "in", 1)).values()) == {0}
    for peer in idle:
        peer.close()


def test_only_known_titles_from_known_addresses_may_send(node, tmp_path):
    paths = objects(tmp_path / "in", 1)
    for ae_title, called in (("STRANGER", "ISOTONE"), ("ELSEWHERE", "ISOTONE"), ("SENDER", "OTHER")):
        assert set(send(node.port, paths, ae_title=ae_title, called=called).values()) == {None}


def test_an_object_that_is_too_large_is_not_taken(node, tmp_path):
    for size in (200, 2000):  # a little too large is answered; much ends the association
        stored = np.zeros((size, size), np.uint16)
        path = write(radiograph(stored, seed=size), tmp_path / "large.dcm")
        assert set(send(node.port, [path]).values()) <= {0xA700, None}
        assert node.rows(f"SELECT COUNT(*) FROM objects WHERE bytes > {2 * size * size}") == [(0,)]


@pytest.mark.parametrize("uid", ["../../../outside", "/tmp/outside", "1.2.3/../../4", "1.2.\0003"])
def test_a_uid_is_no_path(node, tmp_path, uid):
    before = {path for path in node.folder.parent.rglob("*") if node.spool not in path.parents}
    ds = radiograph(seed=5)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    send(node.port, [write(ds, tmp_path / "a.dcm")])
    time.sleep(0.5)
    assert {path for path in node.folder.parent.rglob("*") if node.spool not in path.parents} == before
    names = [path.stem for path in (node.spool / "objects").rglob("*.dcm")]
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


def test_an_object_that_is_not_what_its_sender_says_is_refused(node, tmp_path):
    ds = radiograph(seed=6)
    path = write(ds, tmp_path / "a.dcm")
    uid = str(ds.SOPInstanceUID)
    other = uid[:-1] + ("1" if uid[-1] == "2" else "2")
    path.write_bytes(path.read_bytes().replace(uid.encode(), other.encode(), 1))  # in the meta information alone
    assert set(send(node.port, [path]).values()) == {0xA900}
    noise = path.read_bytes()[:400] + np.random.default_rng(1).bytes(5000)
    path.write_bytes(noise)
    assert set(send(node.port, [path]).values()) <= {0xA900}
    assert "Invalid value" not in (node.folder / "stderr").read_text()  # pydicom's warning, which quotes it


def test_there_are_no_more_associations_than_may_be(node, tmp_path):
    """The rest are told so, and take their turn; one address leaves the last place to others."""
    from pynetdicom import AE

    entity = AE("SENDER")
    entity.acse_timeout = 10
    entity.add_requested_context("1.2.840.10008.1.1")
    there = {"ae_title": "ISOTONE", "bind_address": ("127.0.0.2", 0)}
    held = [entity.associate("127.0.0.1", node.port, **there) for _ in range(5)]
    assert 1 <= sum(one.is_established for one in held) <= 2
    assert set(send(node.port, objects(tmp_path / "in", 1)).values()) == {0}
    for one in held:
        if one.is_established:
            one.release()
