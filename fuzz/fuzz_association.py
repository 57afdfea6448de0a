"""Fuzz what a peer sends to a listening node: units of DICOM's upper layer (PS3.8 9.3), changed, cut and in any order.

    python fuzz/fuzz_association.py -max_total_time=20 [CORPUS]

A client that does C-ECHO and C-STORE is recorded once. An input chooses which of its units are sent, in which order,
and which bytes of them are changed. The node must end the connection, keep no thread for it, and still answer C-ECHO.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["isotone.serving", "pynetdicom"]):
    from pynetdicom import AE, evt

    from isotone.serving.alerts import Alerts
    from isotone.serving.audit_trail import AuditTrail
    from isotone.serving.intake import Intake
    from isotone.serving.node_settings import NodeSettings
    from isotone.serving.object_queue import ObjectQueue
    from isotone.serving.spool import AUDIT, Spool
    from isotone.serving.storage_scp import StorageScp

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

FOLDER = Path(tempfile.mkdtemp(prefix="isotone-fuzz-"))
VERIFICATION, STORAGE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.1.2"
IDLE = 1.0
"""Seconds that the node waits for a unit."""
PATIENCE = 20.0
"""Seconds after which a connection that is still open is a finding."""
UNITS = 8
"""Units of an input, at most."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening() -> int:
    """The port of a node's acceptor."""
    port = free_port()
    settings = NodeSettings.model_validate(
        {
            "spool": FOLDER / "spool",
            "archive": [],
            "port": port,
            "limits": {"idle_seconds": IDLE, "object_bytes": 2**16, "free_bytes": 0},
            "destination": [{"kind": "dicom", "name": "a", "host": "127.0.0.1", "port": 1, "ae_title": "A"}],
            "rule": [{"name": "all", "harmonizer": "none", "to": ["a"]}],
        }
    )
    spool = Spool(settings.spool)
    queue = ObjectQueue(spool.database)
    audit = AuditTrail(spool.root / AUDIT)
    scp = StorageScp(settings, spool, Intake(spool, queue, audit, [], lambda: None, Alerts(lambda _: None)))
    scp.start()
    threading.Thread(target=scp.run, daemon=True).start()
    return port


def association(port: int, handlers: list[Any] | None = None) -> Any:
    entity = AE("PEER")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE
    for name in (VERIFICATION, STORAGE):
        entity.add_requested_context(name, ExplicitVRLittleEndian)
    return entity.associate("127.0.0.1", port, ae_title="ISOTONE", evt_handlers=handlers or [])


def recorded(port: int) -> list[bytes]:
    """The units that a client sends."""
    units: list[bytes] = []
    peer = association(port, [(evt.EVT_DATA_SENT, lambda event: units.append(bytes(event.data)))])
    peer.send_c_echo()
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientName = STORAGE, "1.2.3", "Doe^Jane"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    peer.send_c_store(ds)
    peer.release()
    return units


def still_serves() -> None:
    peer = association(PORT)
    assert peer.is_established, "the node takes no association any more"
    assert peer.send_c_echo().Status == 0
    peer.release()


def changed(unit: bytes, data: atheris.FuzzedDataProvider) -> bytes:
    part = bytearray(unit)
    for _ in range(data.ConsumeIntInRange(0, 4)):
        part[data.ConsumeIntInRange(0, len(part) - 1)] = data.ConsumeIntInRange(0, 255)
    return bytes(part[: data.ConsumeIntInRange(1, len(part))]) if data.ConsumeProbability() > 0.9 else bytes(part)


def ended(peer: socket.socket) -> None:
    """Say that nothing follows; the node may have ended the connection first."""
    try:
        peer.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


def one(given: bytes) -> None:
    data = atheris.FuzzedDataProvider(given)
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        try:
            for _ in range(data.ConsumeIntInRange(1, UNITS)):
                peer.sendall(changed(UNITS_OF_A_CLIENT[data.ConsumeIntInRange(0, len(UNITS_OF_A_CLIENT) - 1)], data))
            ended(peer)
            while peer.recv(2**16):
                pass
        except ConnectionError:
            pass
    if sum(given) % 16 == 0:
        end = time.monotonic() + PATIENCE
        while any("Acceptor" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < end, "a thread outlives its connection"
            time.sleep(0.05)
        still_serves()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda _: None  # threads of pynetdicom end so; what counts is that they end
    PORT = listening()
    UNITS_OF_A_CLIENT = recorded(PORT)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
