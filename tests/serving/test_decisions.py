"""What becomes of an image that stays as it is: the original goes on, and history and audit trail say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from isotone.deployment.deliver import Outcome
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.harmonizing import Harmonizer
from isotone.serving.labour import Made
from isotone.serving.node_settings import Rule
from isotone.serving.object_queue import Arrived, ObjectQueue
from isotone.serving.spool import AUDIT, OBJECTS, Spool


@pytest.mark.parametrize("status", ["reference", "kept"])
def test_an_image_that_stays_as_it_is_is_forwarded_unchanged(spool: Spool, queue: ObjectQueue, status):
    path = spool.place(OBJECTS, "a" * 32)
    spool.settle(spool.write_part([b"x"]), path)
    queue.add(Arrived("a" * 32, "digest", path, "1.2", 1, "SENDER"), ())
    rule = Rule(name="all", harmonizer=Path("harmonizer"), to=("ai", "other"))
    audit = AuditTrail(spool.root / AUDIT)
    harmonizer = Harmonizer([rule], spool, queue, audit, lambda: None, Alerts(print))
    queued = queue.find("a" * 32)
    assert queued is not None
    harmonizer._finish(queued, Made(0, "Birch", outcome=Outcome(status)))
    assert queue.rows("SELECT destination, path FROM deliveries") == [("ai", path), ("other", path)]
    assert queue.rows("SELECT decision, code FROM images") == [(status, None)]
