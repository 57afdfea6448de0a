"""What a node remembers of its scanners, and how it says it: history, drift tests, metrics, dashboard, retention."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from harmonizers import change, scanner_harmonizer
from isotone.monitoring import sequential_test
from isotone.monitoring.sequential_test import BlockTest, blocks, level_of
from isotone.serving import history as history_module
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.dashboard import dashboard
from isotone.serving.exposition import MetricsPage, exposition
from isotone.serving.forwarding import tell_of_unknown
from isotone.serving.history import History
from isotone.serving.node import Node
from isotone.serving.node_settings import Retention, read_settings
from isotone.serving.object_queue import HELD, Arrived, ObjectQueue
from isotone.serving.retention import expire, sweep_unknown
from isotone.serving.spool import AUDIT, OBJECTS, Spool
from isotone.serving.waiting import dismiss, hold
from nodes import ONE_DESTINATION, free_port

SCANNER = 'A "quoted" <b>scanner</b>'
DAY = 86400.0
CONFIG = ONE_DESTINATION + "[limits]\nfree_bytes = 0\n"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def history(queue: ObjectQueue, said: list[str], monkeypatch: pytest.MonkeyPatch) -> History:
    """With a gate that finds every block of which the looks are 1 another response."""
    harmonizer = scanner_harmonizer(SCANNER)
    assert harmonizer.digest  # before it has a gate that is none
    change(harmonizer, SCANNER, novelty=object())

    def judge(gate: object, drift: object, looks: list[np.ndarray], level: float, *, refused: int = 0) -> BlockTest:
        differs = refused > 0 or bool(np.mean(looks) > 0.5)
        return BlockTest(0.0 if differs else 1.0, level, "another response")

    monkeypatch.setattr(history_module, "judge_block", judge)
    return History(queue, [harmonizer], 1.0, Alerts(said.append))


def add_object(queue: ObjectQueue, spool: Spool, number: int, **more: object) -> str:
    key = f"{number:032x}"
    path = spool.place(OBJECTS, key)
    spool.settle(spool.write_part([b"x"]), path)
    queue.add(Arrived(key, "digest", path, "1.2", 1, "SENDER"), ["archive"], **more)  # type: ignore[arg-type]
    return key


def add_images(
    queue: ObjectQueue, history: History, count: int, look: float | None, *, start: float = 0.0, **facts: str
) -> None:
    """An hour apart each, from the day `start` on."""
    [model] = history._models
    numbers = None if look is None else np.full(3, look, "<f4").tobytes()
    with queue.transaction() as db:
        for number in range(count):
            at = DAY * start + 3600.0 * number
            row = (time.strftime("%Y-%m-%d", time.gmtime(at)), at, SCANNER, facts.get("decision", "harmonized"))
            row += (facts.get("code"), facts.get("software", "aaaa"), model, look, numbers)  # type: ignore[assignment]
            db.execute(
                "INSERT INTO images (day, at, scanner, decision, code, software, model, brightness, look) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )


def test_the_levels_of_a_year_add_up_to_what_is_allowed():
    """Whatever the number of images: a year of blocks of each length."""
    for images in (1000, 100_000):
        year = [
            level_of(length * 365.25 / images, per_year=0.5)
            for length in sequential_test.LENGTHS
            for _ in blocks(images, length)
        ]
        assert 0.2 < sum(year) <= 0.5 + 1e-9


def test_each_block_is_tested_once_at_the_level_of_the_time_that_it_spans(history, queue, said):
    add_images(queue, history, 40, 0.0)
    history.test()
    history.test()
    [test] = history.tests()
    assert (test.images, test.alarm, said) == (32, False, [])
    assert test.level == pytest.approx(level_of(31 / 24, 1.0))
    add_images(queue, history, 24, 1.0, start=10)
    history.test()
    assert [one.alarm for one in history.tests()] == [False, True]
    assert history.tests()[1].level == pytest.approx(level_of((10 * 24 + 23 - 31) / 24, 1.0))
    assert len(said) == 1
    assert "another response" in said[0]


def test_images_that_are_refused_as_unlike_the_fit_count_in_their_block(history, queue):
    add_images(queue, history, 31, 0.0)
    add_images(queue, history, 1, None, decision="held", code="E_OOD", start=2)
    history.test()
    assert [one.alarm for one in history.tests()] == [True]


def test_looks_that_no_block_needs_are_forgotten(history, queue):
    for start in range(0, 120, 10):
        add_images(queue, history, 64, 0.0, start=start)
    history.test()
    assert queue.rows("SELECT COUNT(*) FROM images WHERE look IS NOT NULL") == [(768 - 512,)]


def test_a_change_of_software_is_said_once(history, queue, said):
    add_images(queue, history, 2, 0.0)
    history.test()
    add_images(queue, history, 2, 0.0, software="bbbb", start=1)
    history.test()
    history.test()
    assert [line.split(": ")[1] for line in said] == ["its software has changed (now bbbb)"]


def test_metrics_are_what_prometheus_reads(history, queue, spool):
    add_object(queue, spool, 1)
    add_images(queue, history, 3, 0.25)
    add_images(queue, history, 2, None, decision="held", code="E_OOD")
    port = free_port()
    page = MetricsPage("127.0.0.1", port, lambda: exposition(queue, history, spool, [], time.time()))
    page.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=10)
    finally:
        page.stop()
    lines = text.splitlines()
    assert 'isotone_objects{state="received"} 1' in lines
    assert 'isotone_images{scanner="A \\"quoted\\" <b>scanner</b>",decision="harmonized"} 3' in lines
    assert 'isotone_refusals{scanner="A \\"quoted\\" <b>scanner</b>",code="E_OOD"} 2' in lines
    assert 'isotone_software{scanner="A \\"quoted\\" <b>scanner</b>",hash="aaaa"} 5' in lines
    assert 'isotone_brightness{scanner="A \\"quoted\\" <b>scanner</b>"} 0.25' in lines
    assert 'isotone_deliveries{destination="archive",state="pending"} 1' in lines
    for name in {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")}:
        assert f"# TYPE {name} gauge" in lines


def test_the_dashboard_shows_software_and_alarms_and_no_markup_of_strangers(history, queue):
    add_images(queue, history, 32, 1.0)
    add_images(queue, history, 2, 0.0, software="bbbb", start=5)
    history.test()
    page = dashboard(history, time.time())
    assert "<b>" not in page
    assert "software bbbb from 1970-01-06" in page
    assert page.count('class="alarm"') == 1
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_that_cannot_be_written_stops_no_retention(tmp_path):
    pages = '[watching]\ntextfile = "node.toml/a.prom"\ndashboard = "node.toml/a.html"\n'
    (tmp_path / "node.toml").write_text(CONFIG + pages + "[retention]\nfiles_hours = 0\n")
    said: list[str] = []
    node = Node(read_settings(tmp_path / "node.toml"), said.append)
    node.queue = ObjectQueue(node.spool.database)
    node.alerts = Alerts(said.append)
    node.history, node.forwarders = History(node.queue, [], 1.0, node.alerts), []
    key = add_object(node.queue, node.spool, 1)
    node.queue.finish(node.queue.find(key))
    [due] = node.queue.due("archive", 1, 600)
    node.queue.sent(due)
    node.stop.wait = lambda _=None: node.stop.set() or True  # type: ignore[method-assign, assignment]
    node._keep_house()
    assert node.queue.find(key).state == "gone"
    assert [line.count("E_WRITE") for line in said] == [1, 1]


def test_machines_of_one_model_may_have_other_software_for_good(history, queue):
    for start in range(4):
        for software in ("aaaa", "bbbb"):
            add_images(queue, history, 1, 0.0, software=software, start=start)
    assert dashboard(history, time.time()).count("<p>1970-01-01: new software, bbbb</p>") == 1
    assert dashboard(history, time.time()).count("new software,") == 1


def test_a_person_who_deletes_what_waits_is_done_with_it(queue, spool):
    """A held object and a dead letter; neither is taken up again, and both are taken away in time."""
    keys = [add_object(queue, spool, number) for number in range(2)]
    for due, key in zip(queue.due("archive", 10, 600), keys, strict=True):
        place = f"dead/archive/{key}.dcm"
        spool.link(due.path, place)
        queue.sent(due) if key == keys[0] else queue.dead(due, "0xC000", place)
    place = hold(spool, keys[0], queue.find(keys[0]).path, code="E_OOD")
    queue.finish(queue.find(keys[0]), state=HELD, code="E_OOD", derived=place)
    queue.finish(queue.find(keys[1]))
    dismiss(spool, queue)
    assert [queue.find(keys[0]).state, len(queue.rows("SELECT 1 FROM deliveries WHERE state = 'dead'"))] == ["held", 1]
    assert json.loads(spool.path(place).with_suffix(".json").read_text())["code"] == "E_OOD"
    spool.remove(place)
    spool.remove(f"dead/archive/{keys[1]}.dcm")
    dismiss(spool, queue)
    assert queue.retry() == 0
    expire(Retention(files_hours=0), spool, queue, AuditTrail(spool.root / AUDIT))
    assert [queue.find(key).state for key in keys] == ["gone", "gone"]
    assert not spool.path(place).with_suffix(".json").exists()


def test_deliveries_that_wait_for_a_destination_that_is_no_more_are_told(queue, spool, said):
    add_object(queue, spool, 1)
    tell_of_unknown(queue, {"archive"}, Alerts(said.append))
    assert said == []
    tell_of_unknown(queue, {"other"}, Alerts(said.append))
    assert said == ["destination archive is not in the configuration, and 1 deliveries wait for it"]


def test_what_is_done_is_taken_away_in_time_and_what_is_held_stays(queue, spool):
    keys = [add_object(queue, spool, number) for number in range(3)]
    held = add_object(queue, spool, 3, state=HELD, code="E_DUPLICATE")
    queue.finish(queue.find(keys[0]))
    queue.finish(queue.find(keys[1]))
    for due in queue.due("archive", 10, 600):
        if due.key == keys[0]:
            queue.sent(due)
    audit = AuditTrail(spool.root / AUDIT)
    expire(Retention(files_hours=1), spool, queue, audit)
    assert {queue.find(key).state for key in keys} == {"done", "received"}
    expire(Retention(files_hours=0), spool, queue, audit)
    assert [queue.find(key).state for key in (*keys, held)] == ["gone", "done", "received", "held"]
    assert not spool.path(queue.find(keys[0]).path).exists()
    assert spool.path(queue.find(held).path).exists()
    expire(Retention(files_hours=0, records_days=1e-9), spool, queue, audit)
    assert queue.find(keys[0]) is None


def test_a_clock_that_is_set_back_stops_no_object(queue, spool, monkeypatch):
    """It came at a time that is now an hour ahead; what waits for its next try goes on waiting."""
    add_object(queue, spool, 1)
    [due] = queue.due("archive", 10, 600)
    queue.failed(due, 300, "0xC000")
    add_object(queue, spool, 2)
    now = time.time()
    assert [len(queue.received(10, 600)), len(queue.due("archive", 10, 600))] == [2, 1]
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert [len(queue.received(10, 600)), len(queue.due("archive", 10, 600))] == [2, 2]


def test_files_that_no_record_knows_are_swept(queue, spool):
    key = add_object(queue, spool, 1)
    stray = spool.place(OBJECTS, "f" * 32)
    spool.settle(spool.write_part([b"x"]), stray)
    sweep_unknown(spool, queue)
    assert list(spool.files(OBJECTS)) == [queue.find(key).path]


def test_a_dead_letter_is_taken_up_again_and_its_record_goes_in_time(queue, spool):
    key = add_object(queue, spool, 1)
    queue.finish(queue.find(key))
    [due] = queue.due("archive", 10, 600)
    spool.link(due.path, "dead/archive/letter.dcm")
    queue.dead(due, "0xC000", "dead/archive/letter.dcm")
    audit = AuditTrail(spool.root / AUDIT)
    expire(Retention(files_hours=0, records_days=1e-9), spool, queue, audit)
    assert queue.find(key).state == "gone"
    assert queue.retry() == 1
    [due] = queue.due("archive", 10, 600)
    assert spool.path(due.path).exists()
    queue.sent(due)
    expire(Retention(files_hours=0, records_days=1e-9), spool, queue, audit)
    assert queue.find(key) is None
