"""What waits for a person: a file, and beside it why it is there; whoever deletes the file is done with it."""

from __future__ import annotations

import json
import time

from isotone._runtime.files import write_text
from isotone.serving.object_queue import DEAD, ObjectQueue
from isotone.serving.object_queue import HELD as WAITS
from isotone.serving.spool import HELD, Spool


def hold(spool: Spool, name: str, path: str, **why: object) -> str:
    """Give an object's file a second name in ``held/``; that name.

    Raises
    ------
    IsotoneError
        E_WRITE.
    """
    place = spool.place(HELD, name)
    if path != place:
        spool.link(path, place)
    write_text(spool.path(place).with_suffix(".json"), json.dumps(why | {"time": time.time()}) + "\n")
    return place


def release(spool: Spool, name: str) -> None:
    """Take that name away: it was decided otherwise."""
    for suffix in (".dcm", ".json"):
        spool.remove(spool.place(HELD, name).removesuffix(".dcm") + suffix)


def dismiss(spool: Spool, queue: ObjectQueue) -> None:
    """Be done with held objects and dead letters whose files a person has deleted.

    Raises
    ------
    IsotoneError
        E_WRITE.
    """
    for identity, place in queue.rows("SELECT id, COALESCE(derived, path) FROM objects WHERE state = ?", WAITS):
        if place.startswith(f"{HELD}/") and not spool.path(place).exists():
            spool.path(place).with_suffix(".json").unlink(missing_ok=True)
            queue.dismiss_object(identity)
    for identity, place in queue.rows("SELECT id, path FROM deliveries WHERE state = ?", DEAD):
        if not any(spool.path(place).with_suffix(suffix).exists() for suffix in (".dcm", ".json")):
            queue.dismiss_delivery(identity)
