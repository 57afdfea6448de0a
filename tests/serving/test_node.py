"""A node receives, harmonizes and forwards as `apply` would, and does with what is refused what its rule says."""

from __future__ import annotations

import hashlib
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

pytest.importorskip("pynetdicom")

from nodes import Destination, RunningNode, as_dataset, objects, send, timeless, uid_of, until
from processes import COMMAND

pytestmark = pytest.mark.slow


@pytest.fixture
def archive() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.close()


@pytest.fixture
def ai() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.close()


@pytest.fixture
def node(
    request: pytest.FixtureRequest, tmp_path: Path, archive: Destination, ai: Destination
) -> Iterator[RunningNode]:
    """A running node; the test's marker `node` says more of its configuration."""
    mark = request.node.get_closest_marker("node")
    options = dict(mark.kwargs) if mark else {}
    more = options.pop("tables", "")
    made = RunningNode(tmp_path / "node", archive.table("archive") + ai.table("ai") + more, **options)
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 143


def test_what_arrives_is_what_apply_writes(node, archive, ai, tmp_path):
    """The archive gets the original, byte for byte; the other destination the object of `apply`, clocks apart."""
    paths = objects(tmp_path / "in", 3)
    assert set(send(node.port, paths).values()) == {0}
    until(node.idle)
    for path in paths:
        meta_length = path.read_bytes().index(b"\x08\x00\x08\x00")  # ImageType: the first element of these
        assert archive.got[uid_of(path)] == [hashlib.sha256(path.read_bytes()[meta_length:]).hexdigest()]
    harmonizer = ToneCurveHarmonizer.load(node.folder / "harmonizer")
    apply(harmonizer, Manifest.from_paths([tmp_path / "in"]), tmp_path / "out", workers=0, quiet=True)
    made = {uid_of(path): timeless(path) for path in (tmp_path / "out").glob("*.dcm")}
    assert {uid: timeless(as_dataset(body)) for uid, body in ai.datasets.items()} == made


def test_the_same_again_is_taken_once_and_other_bytes_are_held(node, archive, tmp_path):
    [path] = objects(tmp_path / "in", 1)
    for _ in range(2):
        assert set(send(node.port, [path]).values()) == {0}
    until(node.idle)
    other = write(radiograph(seed=0, PatientName="Doe^Joan"), tmp_path / "other.dcm")
    assert set(send(node.port, [other, other]).values()) == {0}
    until(node.idle)
    assert [len(got) for got in archive.got.values()] == [1]
    assert len(list((node.spool / "held").rglob("*.dcm"))) == 1
    assert node.rows("SELECT state, code FROM objects ORDER BY id") == [("done", None), ("held", "E_DUPLICATE")]


@pytest.mark.parametrize(
    ("refused", "state", "decision"),
    [
        pytest.param("forward", "done", "forwarded unchanged", marks=pytest.mark.node(rule='refused = "forward"')),
        pytest.param("hold", "held", "held", marks=pytest.mark.node(rule='refused = "hold"')),
        pytest.param("drop", "done", "dropped", marks=pytest.mark.node(rule='refused = "drop"')),
    ],
)
def test_what_is_refused_goes_where_its_rule_says_and_to_the_archive(
    node, archive, ai, tmp_path, refused, state, decision
):
    [path] = objects(tmp_path / "in", 1, vendor="ge")
    send(node.port, [path])
    until(node.idle)
    assert list(archive.got) == [uid_of(path)]
    assert list(ai.got) == ([uid_of(path)] if refused == "forward" else [])
    assert node.rows("SELECT state, code FROM objects") == [(state, "E_DOMAIN")]
    assert [line["event"] for line in node.audit()].count(decision) == 1


@pytest.mark.node(rule='scanner = ["*Selenia*"]\nbody_part = ["breast"]')
def test_an_image_that_no_rule_fits_goes_to_the_archive_alone(node, archive, ai, tmp_path):
    paths = [*objects(tmp_path / "chest", 1, modality="DX"), *objects(tmp_path / "breast", 1)]
    send(node.port, paths)
    until(node.idle)
    assert set(archive.got) == set(map(uid_of, paths))
    assert len(ai.got) == 1
    assert [line["event"] for line in node.audit()].count("no rule") == 1


def test_what_a_destination_refuses_in_its_syntax_is_transcoded_without_loss(node, archive, tmp_path):
    for number, signed in enumerate((False, True)):
        stored = radiograph().pixel_array.astype("i2") - 2048 if signed else None
        modality = "CR" if signed else "MG"
        whole = radiograph(stored, modality=modality, seed=number)
        path = write(encoded(radiograph(stored, modality=modality, seed=number), JPEGLSLossless), tmp_path / "a.dcm")
        assert set(send(node.port, [path]).values()) == {0}
        until(lambda: uid_of(path) in archive.got)  # noqa: B023
        got = as_dataset(archive.datasets[uid_of(path)])
        assert (got.pixel_array == whole.pixel_array).all()
        assert got.file_meta.TransferSyntaxUID.is_compressed is False
    until(node.idle)
    assert not list((node.spool / "derived").glob(".isotone*"))


def test_no_log_or_audit_line_names_a_patient(node, tmp_path):
    [path] = objects(tmp_path / "in", 1)
    send(node.port, [path])
    until(node.idle)
    node.stop()
    said = (node.folder / "stderr").read_text() + "".join(p.read_text() for p in (node.spool / "audit").iterdir())
    ds = pydicom.dcmread(path)
    for keyword in ("PatientName", "PatientID", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber"):
        assert str(ds[keyword].value) not in said


def test_a_second_node_in_one_spool_is_refused(node):
    done = subprocess.run([*COMMAND, "serve", str(node.config)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "another run" in done.stderr
