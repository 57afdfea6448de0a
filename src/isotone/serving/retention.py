"""What is done is taken away in time; what waits for a person stays. And after a kill, what no record knows."""

from __future__ import annotations

import time

from isotone.serving.audit_trail import AuditTrail
from isotone.serving.node_settings import Retention
from isotone.serving.object_queue import DEAD, DONE, GONE, ObjectQueue
from isotone.serving.spool import DERIVED, OBJECTS, Spool


def expire(retention: Retention, spool: Spool, queue: ObjectQueue, audit: AuditTrail) -> None:
    """Take away files, records, history and audit lines that are older than they are to be.

    Raises
    ------
    IsotoneError
        E_WRITE.
    """
    now = time.time()
    query = "SELECT id, path, derived FROM objects WHERE state = ? AND finished < ?"
    for identity, path, derived in queue.rows(query, DONE, now - 3600 * retention.files_hours):
        for file in filter(None, (path, derived)):
            spool.remove(file)
        with queue.transaction() as db:
            db.execute("UPDATE objects SET state = ? WHERE id = ?", (GONE, identity))
    with queue.transaction() as db:
        db.execute(
            "DELETE FROM objects WHERE state = ? AND finished < ? AND NOT EXISTS "
            "(SELECT 1 FROM deliveries WHERE object = objects.id AND state = ?)",
            (GONE, now - 86400 * retention.records_days, DEAD),
        )
        for table in ("images", "tests"):
            db.execute(f"DELETE FROM {table} WHERE at < ?", (now - 86400 * retention.history_days,))
    audit.expire(retention.audit_days)


def sweep_unknown(spool: Spool, queue: ObjectQueue) -> None:
    """Take away files that a kill left between their place and the queue: nobody was told that they are here."""
    known = {name for row in queue.rows("SELECT path, derived FROM objects") for name in row if name}
    for kind in (OBJECTS, DERIVED):
        for name in spool.files(kind):
            if name not in known:
                spool.remove(name)
