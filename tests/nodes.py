"""A node in a process of its own, peers that send to it, and destinations that take, reject or are away."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicoms import VENDORS, radiograph, write
from harmonizers import scanner_harmonizer
from processes import COMMAND, environment, start

ONE_DESTINATION = """
spool = "spool"
archive = ["archive"]
[[destination]]
kind = "dicom"
name = "archive"
host = "127.0.0.1"
port = 4242
ae_title = "PACS"
[[rule]]
name = "all"
harmonizer = "model"
to = ["archive"]
"""
"""A configuration of a node, to which lines may be added."""
SCANNER = " ".join(VENDORS["hologic"].values())
CLOCKS = {
    *("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime", "ContributionDateTime"),
    *("PresentationCreationDate", "PresentationCreationTime"),
}
"""What an object that isotone made says of when it was made."""


def as_dataset(body: bytes) -> Dataset:
    """An object that a destination got."""
    return pydicom.dcmread(DicomBytesIO(body))


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def objects(folder: Path, count: int, *, first: int = 0, **attributes: object) -> list[Path]:
    """Small images of the scanner that the harmonizer knows, each of a UID of its own (from number `first` on)."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + count)
    return [write(radiograph(seed=number, **attributes), folder / f"{number}.dcm") for number in numbers]  # type: ignore[arg-type]


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def timeless(path_or_dataset: Path | Dataset) -> str:
    """Digest of an object without what it says of when it was made."""
    ds = path_or_dataset if isinstance(path_or_dataset, Dataset) else pydicom.dcmread(path_or_dataset)

    makers = f"{ds.get('Manufacturer')} {ds.get('ContributingEquipmentSequence')}"

    def strip(part: Dataset) -> None:
        for element in list(part):
            if element.keyword in CLOCKS and element.keyword in part:
                if part is not ds or "isotone" in makers:
                    delattr(part, element.keyword)
            elif element.VR == "SQ":
                for item in element.value:
                    strip(item)

    strip(ds)
    return hashlib.sha256(ds.to_json(suppress_invalid_tags=True).encode()).hexdigest()


class Destination:
    """A C-STORE SCP that keeps, by UID, the digests of the data sets that it got.

    Parameters
    ----------
    status : callable, optional
        UID → status of its answer; default: success.
    syntaxes : sequence of str
        Transfer syntaxes that it takes.
    keep : bool
        Whether it remembers anything.
    """

    def __init__(
        self,
        *,
        status: Callable[[str], int] = lambda uid: 0,
        syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        port: int | None = None,
        keep: bool = True,
    ) -> None:
        self._keep = keep
        self.port = port or free_port()
        self.got: dict[str, list[str]] = {}
        self.datasets: dict[str, bytes] = {}
        self._status, self._syntaxes = status, [str(s) for s in syntaxes]
        self._server: Any = None
        self.open()

    def open(self) -> None:
        from pynetdicom import AE, AllStoragePresentationContexts, evt

        entity = AE("DEST")
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, self._syntaxes)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def close(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        status = self._status(uid)
        if status == 0 and self._keep:
            body = event.encoded_dataset()
            self.got.setdefault(uid, []).append(hashlib.sha256(event.encoded_dataset(False)).hexdigest())
            self.datasets[uid] = body
        return status

    def table(self, name: str) -> str:
        """Its table in a node's configuration."""
        return (
            f'[[destination]]\nkind = "dicom"\nname = "{name}"\nhost = "127.0.0.1"\nport = {self.port}\n'
            'ae_title = "DEST"\nretry = {first_seconds = 0.05, longest_seconds = 0.3, attempts = 3}\n'
        )


class RunningNode:
    """``isotone serve`` in a folder."""

    def __init__(
        self, folder: Path, tables: str, *, rule: str = "", top: str = "", archive: str = '["archive"]'
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        if not (folder / "harmonizer").exists():
            scanner_harmonizer(SCANNER).save(folder / "harmonizer")
        self.spool = folder / "spool"
        self.config = folder / "node.toml"
        to = "" if "to =" in rule else 'to = ["ai"]\n'
        self.config.write_text(
            f'spool = "spool"\narchive = {archive}\nport = {self.port}\n{top}\n'
            f'[[rule]]\nname = "all"\nharmonizer = "harmonizer"\n{to}{rule}\n{tables}\n'
            + ("" if "[limits]" in tables else "[limits]\nfree_bytes = 0\n")
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, command: Sequence[str] = COMMAND, wait: bool = True, **extra: str) -> None:
        """Start it, and wait until it listens, unless it may be killed before."""
        self.errors = (self.folder / "stderr").open("a")
        self.process = start(
            [*command, "serve", self.config, *options],
            stderr=self.errors,
            cwd=self.folder,
            env=environment(**extra),
        )
        if not wait:
            return
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening"), (self.folder / "stderr").read_text()

    def kill(self) -> None:
        """As the out-of-memory killer, or a power cut, would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As systemd would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def stop_by_another_thread(self) -> int:
        """As `stop`, where the system gives the signal to another thread than the main one."""
        assert self.process is not None
        pid = self.process.pid
        other = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
        assert other != pid
        assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0
        return self.process.wait(120)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What its queue holds."""
        with closing(sqlite3.connect(self.spool / "node.sqlite")) as db:
            return db.execute(query).fetchall()

    def idle(self) -> bool:
        """Whether nothing is to be done."""
        waiting = "SELECT (SELECT COUNT(*) FROM objects WHERE state = 'received') + (SELECT COUNT(*) FROM deliveries "
        return self.rows(waiting + "WHERE state = 'pending')") == [(0,)]

    def audit(self) -> list[dict[str, Any]]:
        lines = [line for path in sorted((self.spool / "audit").glob("*.jsonl")) for line in path.open()]
        return [json.loads(line) for line in lines]


def send(
    port: int, paths: Iterable[Path], *, ae_title: str = "SENDER", called: str = "ISOTONE", tls: Any = None
) -> dict[str, int | None]:
    """Send files in one association; the status of each UID, None where no answer came."""
    from pynetdicom import AE, _config
    from pynetdicom.presentation import build_context

    _config.STORE_SEND_CHUNKED_DATASET = True  # the file as it is, whatever it says of itself
    paths = list(paths)
    metas = {path: pydicom.filereader.read_file_meta_info(path) for path in paths}
    kinds = {(str(m.MediaStorageSOPClassUID), str(m.TransferSyntaxUID)) for m in metas.values()}
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    found: dict[str, int | None] = {str(m.MediaStorageSOPInstanceUID): None for m in metas.values()}
    contexts = [build_context(*kind) for kind in sorted(kinds)]
    association = entity.associate("127.0.0.1", port, contexts, called, tls_args=tls)
    for path, meta in metas.items():
        if not association.is_established:
            break
        try:
            status = association.send_c_store(path).get("Status")
        except (RuntimeError, OSError):
            break
        if status is None:  # the connection has ended; pynetdicom would wait for an answer to the next object
            break
        found[str(meta.MediaStorageSOPInstanceUID)] = status
    if association.is_established:
        association.release()
    return found


def has_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0
