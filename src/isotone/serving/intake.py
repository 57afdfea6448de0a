"""One object comes: it is on the disk and in the queue, or its sender is told that it is not."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from isotone.errors import RadiographError
from isotone.imaging.opening.bounded_file import inflated_start
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.object_queue import HELD, Arrived, ObjectQueue
from isotone.serving.spool import HELD as HELD_FOLDER
from isotone.serving.spool import OBJECTS, Spool, hashed
from isotone.serving.waiting import hold

SOP_INSTANCE = 0x00080018
IDENTITY = 2**16
"""Bytes of a data set within which SOP class and instance stand: of group 0008, few elements come before them."""
Taken = Literal["new", "again", "held"]


class Incoming(NamedTuple):
    """An object as it came.

    Attributes
    ----------
    head : bytes
        Preamble and file meta information (PS3.10 7.1).
    body : memoryview
        The data set, as encoded by the sender.
    sop_class, instance, syntax : str
        As the sender called them.
    source : str
        AE title, or the name of a folder.
    """

    head: bytes
    body: memoryview
    sop_class: str
    instance: str
    syntax: str
    source: str


class Intake:
    """Takes objects, from any thread.

    Parameters
    ----------
    archive : sequence of str
        Destinations of every original.
    awake : callable
        Is called when there is something to do.
    alerts : Alerts
        Are told of an object that is held.
    """

    def __init__(
        self,
        spool: Spool,
        queue: ObjectQueue,
        audit: AuditTrail,
        archive: Sequence[str],
        awake: Callable[[], None],
        alerts: Alerts,
    ) -> None:
        self._spool, self._queue, self._audit = spool, queue, audit
        self._archive, self._awake, self._alerts = archive, awake, alerts
        self._lock = threading.Lock()

    def take(self, incoming: Incoming) -> Taken:
        """Keep an object: when this returns, it survives a kill and a power cut.

        Returns
        -------
        {"new", "again", "held"}
            "again": it was here already, with the same bytes. "held": another object has its UID; this one is kept
            for a person.

        Raises
        ------
        RadiographError
            E_NOT_DICOM: the data set is not what its sender calls it.
        IsotoneError
            E_WRITE: there is no room.
        """
        refuse_other(incoming)
        part = self._spool.write_part([incoming.head, incoming.body])
        try:
            with self._lock:
                taken, arrived = self._keep(incoming, part)
        finally:
            part.unlink(missing_ok=True)
        self._audit.write("received", arrived.key, source=arrived.source, result=taken, bytes=arrived.bytes)
        self._awake()
        return taken

    def _keep(self, incoming: Incoming, part: Path) -> tuple[Taken, Arrived]:
        key, digest = hashed(incoming.instance), hashlib.sha256(incoming.body).hexdigest()
        place = self._spool.place(OBJECTS, key)
        size = len(incoming.head) + len(incoming.body)
        arrived = Arrived(key, digest, place, incoming.sop_class, size, incoming.source)
        before = self._queue.find(key)
        if before is None:
            self._spool.settle(part, place)
            self._queue.add(arrived, self._archive)
            return "new", arrived
        if before.digest == digest:
            return "again", arrived
        other = f"{key}-{digest[:16]}"
        if self._queue.find(other) is None:
            held = self._spool.place(HELD_FOLDER, other)
            self._spool.settle(part, held)
            hold(self._spool, other, held, code="E_DUPLICATE")
            self._queue.add(arrived._replace(key=other, path=held), (), state=HELD, code="E_DUPLICATE")
            self._alerts.tell(
                "held", "E_DUPLICATE", "another object came under the UID of one that is here: it is held"
            )
        return "held", arrived


def refuse_other(incoming: Incoming) -> None:
    """Refuse a data set whose own SOP class or instance is not what its sender says.

    Raises
    ------
    RadiographError
        E_NOT_DICOM.
    """
    start = bytes(incoming.body[:IDENTITY])
    try:
        found = read_dataset(
            BytesIO(inflated_start(start) if incoming.syntax == DeflatedExplicitVRLittleEndian else start),
            incoming.syntax == ImplicitVRLittleEndian,
            incoming.syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, vr, length: tag > SOP_INSTANCE,
            defer_size=None,
        )
        same = (str(found.SOPClassUID), str(found.SOPInstanceUID)) == (incoming.sop_class, incoming.instance)
    except Exception:  # whatever pydicom raises on garbage; its messages quote values
        same = False
    if not same:
        raise RadiographError("E_NOT_DICOM", "the data set is not the object that its sender announced")
