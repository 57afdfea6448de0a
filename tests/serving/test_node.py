"""A node receives, harmonizes and forwards as `apply` would, and does with what is refused what its rule says."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from dicoms import encoded, radiograph, write
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.serving.spool import hashed

pytest.importorskip("pynetdicom")

from nodes import Destination, RunningNode, as_dataset, objects, send, timeless, uid_of, until
from processes import COMMAND

pytestmark = pytest.mark.slow
NUMBERS = itertools.count(0, 100)
"""Where the images of each test begin, since all go to one node."""
RULE = """
[[rule]]
name = "{0}"
harmonizer = "harmonizer"
to = ["ai"]
scanner = ["{1}"]
body_part = ["{2}"]
{3}
"""
REFUSALS = {"forward": ("HAND", "forwarded unchanged"), "hold": ("FOOT", "held"), "drop": ("KNEE", "dropped")}
DELIVERIES = {"gsps": "ARM", "voi-lut": "LEG"}
TABLES = "".join(
    [RULE.format(refused, "GE*", part, f'refused = "{refused}"') for refused, (part, _) in REFUSALS.items()]
    + [RULE.format(deliver, "*Selenia*", part, f'deliver = "{deliver}"') for deliver, part in DELIVERIES.items()]
)


@pytest.fixture(scope="module")
def archive() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.close()


@pytest.fixture(scope="module")
def ai() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: Destination, ai: Destination) -> Iterator[RunningNode]:
    """Selenia's breasts are harmonized as pixels; other body parts have a rule each."""
    tables = TABLES + archive.table("archive") + ai.table("ai")
    rule = 'scanner = ["*Selenia*"]\nbody_part = ["breast"]'
    made = RunningNode(tmp_path_factory.mktemp("node") / "node", tables, rule=rule)
    made.start()
    yield made
    assert made.stop() == 143


@pytest.fixture
def first() -> int:
    """Number of the first image of a test."""
    return next(NUMBERS)


def taken(node: RunningNode, paths: list[Path]) -> None:
    """Send images, and wait until all is done."""
    assert set(send(node.port, paths).values()) == {0}
    until(node.idle)


def states(node: RunningNode, path: Path) -> list[tuple[str, str | None]]:
    key = hashed(uid_of(path))
    return node.rows(f"SELECT state, code FROM objects WHERE key LIKE '{key}%' ORDER BY id")


def events(node: RunningNode, path: Path) -> list[str]:
    return [line["event"] for line in node.audit() if line["instance"] == hashed(uid_of(path))]


def applied(node: RunningNode, folder: Path, out: Path, **options: object) -> dict[str, str]:
    """What `apply` makes of the images of a folder."""
    harmonizer = ToneCurveHarmonizer.load(node.folder / "harmonizer")
    apply(harmonizer, Manifest.from_paths([folder]), out, workers=0, quiet=True, **options)  # type: ignore[arg-type]
    return {uid_of(path): timeless(path) for path in out.glob("*.dcm")}


def test_what_arrives_is_what_apply_writes(node, archive, ai, tmp_path, first):
    """The archive gets the original, byte for byte; the other destination the object of `apply`, clocks apart."""
    paths = objects(tmp_path / "in", 3, first=first)
    taken(node, paths)
    for path in paths:
        meta_length = path.read_bytes().index(b"\x08\x00\x08\x00")  # ImageType: the first element of these
        assert archive.got[uid_of(path)] == [hashlib.sha256(path.read_bytes()[meta_length:]).hexdigest()]
        assert uid_of(path) not in ai.got
    made = applied(node, tmp_path / "in", tmp_path / "out")
    assert {uid: timeless(as_dataset(ai.datasets[uid])) for uid in made} == made


@pytest.mark.parametrize("deliver", ["gsps", "voi-lut"])
def test_tables_are_delivered_as_apply_writes_them_a_state_beside_its_original(node, ai, tmp_path, first, deliver):
    [path] = objects(tmp_path / "in", 1, first=first, BodyPartExamined=DELIVERIES[deliver])
    taken(node, [path])
    made = applied(node, tmp_path / "in", tmp_path / "out", deliver=deliver)
    assert {uid: timeless(as_dataset(ai.datasets[uid])) for uid in made} == made
    assert (uid_of(path) in ai.got) is (deliver == "gsps")


def test_the_same_again_is_taken_once_and_other_bytes_are_held(node, archive, tmp_path, first):
    [path] = objects(tmp_path / "in", 1, first=first)
    for _ in range(2):
        taken(node, [path])
    other = write(radiograph(seed=first, PatientName="Doe^Joan"), tmp_path / "other.dcm")
    taken(node, [other, other])
    assert len(archive.got[uid_of(path)]) == 1
    assert len(list((node.spool / "held").rglob(f"{hashed(uid_of(path))}*.dcm"))) == 1
    assert states(node, path) == [("done", None), ("held", "E_DUPLICATE")]


@pytest.mark.parametrize("refused", REFUSALS)
def test_what_is_refused_goes_where_its_rule_says_and_to_the_archive(node, archive, ai, tmp_path, first, refused):
    part, decision = REFUSALS[refused]
    [path] = objects(tmp_path / "in", 1, first=first, vendor="ge", BodyPartExamined=part)
    taken(node, [path])
    assert uid_of(path) in archive.got
    assert (uid_of(path) in ai.got) is (refused == "forward")
    assert states(node, path) == [("held" if refused == "hold" else "done", "E_DOMAIN")]
    [*waits] = (node.spool / "held").rglob(f"{hashed(uid_of(path))}.json")
    assert [json.loads(one.read_text())["rule"] for one in waits] == (["hold"] if refused == "hold" else [])
    assert events(node, path).count(decision) == 1


def test_an_image_that_no_rule_fits_goes_to_the_archive_alone(node, archive, tmp_path, first):
    [path] = objects(tmp_path / "chest", 1, first=first, modality="DX")
    taken(node, [path])
    assert uid_of(path) in archive.got
    assert sorted(events(node, path)) == ["no rule", "received", "sent"]


def test_what_a_destination_refuses_in_its_syntax_is_transcoded_without_loss(node, archive, tmp_path, first):
    for number, signed in enumerate((False, True), first):
        stored = radiograph().pixel_array.astype("i2") - 2048 if signed else None
        modality = "CR" if signed else "MG"
        whole = radiograph(stored, modality=modality, seed=number)
        path = write(encoded(radiograph(stored, modality=modality, seed=number), JPEGLSLossless), tmp_path / "a.dcm")
        taken(node, [path])
        got = as_dataset(archive.datasets[uid_of(path)])
        assert (got.pixel_array == whole.pixel_array).all()
        assert got.file_meta.TransferSyntaxUID.is_compressed is False
    assert not list((node.spool / "derived").glob(".isotone*"))


def test_no_log_or_audit_line_names_a_patient(node, tmp_path, first):
    paths = [*objects(tmp_path / "in", 1, first=first), *objects(tmp_path / "ge", 1, first=first, vendor="ge")]
    taken(node, paths)
    said = (node.folder / "stderr").read_text() + "".join(p.read_text() for p in (node.spool / "audit").iterdir())
    for ds in map(pydicom.dcmread, paths):
        for keyword in ("PatientName", "PatientID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber"):
            assert str(ds[keyword].value) not in said


def test_a_second_node_in_one_spool_is_refused(node):
    done = subprocess.run([*COMMAND, "serve", str(node.config)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "another run" in done.stderr


def test_a_node_ends_soon_whatever_its_peers_and_destinations_do(tmp_path):
    """One stops within a unit, the other takes the connection and says nothing; each is given a minute otherwise.

    Nor whichever of its threads gets the signal.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = '[[destination]]\nkind = "dicom"\nname = "archive"\nhost = "127.0.0.1"\nae_title = "DEST"\nport = '
        table = f"{to}{silent.getsockname()[1]}\n"
        node = RunningNode(tmp_path / "node", table, rule='to = ["archive"]')
        node.start()
        send(node.port, objects(tmp_path / "in", 1))
        with silent.accept()[0], socket.create_connection(("127.0.0.1", node.port)) as peer:
            peer.sendall(struct.pack(">BBL", 1, 0, 2000) + b"half")
            assert node.stop_by_another_thread() == 143
