"""Whatever is acknowledged is forwarded, as an uninterrupted run would: kills, full disks, destinations away."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

pytest.importorskip("pynetdicom")

from nodes import Destination, RunningNode, as_dataset, has_root, objects, send, timeless, uid_of, until

pytestmark = pytest.mark.slow

KILLED_AT = """
import importlib, os, signal, sys
from isotone.cli import main
place, name, count = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
module, _, owner = place.rpartition(".")
owner = getattr(importlib.import_module(module), owner)
before, calls = getattr(owner, name), 0
def killed(*args, **kwargs):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*args, **kwargs)
setattr(owner, name, killed)
main()
"""
"""isotone, killed where it calls a function for the n-th time."""
MOMENTS = {
    "before an object is in its place": ("isotone.serving.spool.Spool", "settle", 3),
    "before an object is in the queue": ("isotone.serving.object_queue.ObjectQueue", "add", 4),
    "before an object is acknowledged": ("isotone.serving.audit_trail.AuditTrail", "write", 5),
    "before what was made is in the queue": ("isotone.serving.object_queue.ObjectQueue", "finish", 3),
    "before what was sent is noted": ("isotone.serving.object_queue.ObjectQueue", "sent", 4),
}


@pytest.fixture
def destinations() -> Iterator[tuple[Destination, Destination]]:
    both = Destination(), Destination()
    yield both
    for one in both:
        one.close()


@pytest.fixture
def node(tmp_path: Path, destinations: tuple[Destination, Destination]) -> Iterator[RunningNode]:
    archive, ai = destinations
    made = RunningNode(tmp_path / "node", archive.table("archive") + ai.table("ai"))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def insist(node: RunningNode, paths: list[Path], acknowledged: set[str], stop: threading.Event) -> None:
    """A modality: it sends again what was not acknowledged."""
    while not stop.is_set():
        left = [path for path in paths if uid_of(path) not in acknowledged]
        if not left:
            return
        acknowledged |= {uid for uid, status in send(node.port, left).items() if status == 0}
        stop.wait(0.1)


def expected(node: RunningNode, folder: Path, out: Path) -> dict[str, str]:
    """What `apply` makes of the images of a folder."""
    harmonizer = ToneCurveHarmonizer.load(node.folder / "harmonizer")
    apply(harmonizer, Manifest.from_paths([folder]), out, workers=0, quiet=True)
    return {uid_of(path): timeless(path) for path in out.rglob("*.dcm")}


def assert_whole(node: RunningNode, paths: list[Path], archive: Destination, ai: Destination, out: Path) -> None:
    """Every object is at both destinations, each under its UID with one content, and nothing else is."""
    assert {uid: len(set(digests)) for uid, digests in archive.got.items()} == dict.fromkeys(map(uid_of, paths), 1)
    wanted = expected(node, paths[0].parent, out)
    assert {uid: timeless(as_dataset(body)) for uid, body in ai.datasets.items()} == wanted
    assert {len(set(digests)) for digests in ai.got.values()} == {1}
    assert node.rows("SELECT DISTINCT state FROM deliveries") == [("sent",)]


def test_kills_at_the_worst_moments_lose_nothing(node, destinations, tmp_path):
    """One after the other, six objects coming at each."""
    paths = objects(tmp_path / "in", 6 * len(MOMENTS))
    acknowledged: set[str] = set()
    stop = threading.Event()
    senders = []
    try:
        for number, (moment, place) in enumerate(MOMENTS.items()):
            node.start(command=[sys.executable, "-c", KILLED_AT, *map(str, place)], wait=False)
            part = paths[6 * number : 6 * number + 6]
            senders.append(threading.Thread(target=insist, args=(node, part, acknowledged, stop), daemon=True))
            senders[-1].start()
            assert node.process.wait(300) == -9, moment
        node.start()
        for sender in senders:
            sender.join(60)
        until(node.idle)
    finally:
        stop.set()
    assert acknowledged == set(map(uid_of, paths))
    assert_whole(node, paths, *destinations, tmp_path / "out")


def test_kills_at_random_moments_lose_nothing(node, destinations, tmp_path):
    """Thirty objects from three associations; two kills. `benchmarks/kills.py` has hundreds and an Orthanc."""
    paths = objects(tmp_path / "in", 30)
    acknowledged: set[str] = set()
    stop = threading.Event()
    senders = [
        threading.Thread(target=insist, args=(node, paths[k::3], acknowledged, stop), daemon=True) for k in range(3)
    ]
    node.start()
    for sender in senders:
        sender.start()
    try:
        for _ in range(2):
            stop.wait(random.uniform(0.1, 2.0))
            node.kill()
            node.start()
        for sender in senders:
            sender.join(120)
        until(node.idle, 120)
    finally:
        stop.set()
    assert acknowledged == set(map(uid_of, paths))
    assert_whole(node, paths, *destinations, tmp_path / "out")


def test_what_a_destination_rejects_is_a_dead_letter_and_can_be_sent_again(node, destinations, tmp_path):
    archive, ai = destinations
    paths = objects(tmp_path / "in", 4)
    bad = uid_of(paths[2])
    archive._status = lambda uid: 0xC001 if uid == bad else 0
    node.start()
    send(node.port, paths)
    until(node.idle)
    assert set(archive.got) == set(map(uid_of, paths)) - {bad}
    assert len(ai.got) == 4
    [letter] = (node.spool / "dead" / "archive").glob("*.dcm")
    said = json.loads(letter.with_suffix(".json").read_text())
    assert (said["code"], said["tries"], uid_of(letter)) == ("0xC001", 3, bad)
    assert node.stop() == 143
    archive._status = lambda uid: 0
    node.start("--retry")
    until(lambda: bad in archive.got)
    until(node.idle)
    assert not list((node.spool / "dead").rglob("*.*"))


def test_a_destination_that_is_away_gets_everything_when_it_is_back(node, destinations, tmp_path):
    archive, ai = destinations
    paths = objects(tmp_path / "in", 4)
    archive.close()
    node.start()
    assert set(send(node.port, paths).values()) == {0}
    until(lambda: len(ai.got) == 4)
    until(lambda: (node.folder / "stderr").read_text().count("destination archive: no association") > 4)
    assert node.rows("SELECT COUNT(*) FROM deliveries WHERE failures > 0") == [(0,)]
    archive.open()
    until(node.idle)
    assert_whole(node, paths, archive, ai, tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    folder = tmp_path / "node" / "spool"
    folder.mkdir(parents=True)
    if not has_root() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder]).returncode:
        pytest.skip("may not mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_refuses_and_recovers(small_disk, node, destinations, tmp_path):
    """What was acknowledged is forwarded; what was not, is taken when there is room."""
    paths = objects(tmp_path / "in", 12)
    ballast = small_disk / "ballast"
    node.start()
    ballast.write_bytes(bytes(2**22))
    statuses = send(node.port, paths)
    with ballast.open("ab") as file:
        for _ in range(2000):
            try:
                os.write(file.fileno(), bytes(4096))
            except OSError:
                break
    more = send(node.port, paths)
    assert set(more.values()) <= {0, 0xA700}
    assert 0xA700 in more.values() or 0xA700 in statuses.values()
    ballast.unlink()
    acknowledged: set[str] = set()
    insist(node, paths, acknowledged, threading.Event())
    until(node.idle, 120)
    assert_whole(node, paths, *destinations, tmp_path / "out")
