"""A node between a sender and a real Orthanc, killed on the way; prints what the Orthanc has in the end.

Runs in a network namespace of its own, since Debian's Orthanc binds every address:
``unshare -n sh -c 'ip link set lo up && python orthanc_node.py FOLDER WORK'``. The archive is reached by C-STORE, the
other destination, the same Orthanc, by STOW-RS. Prints one JSON object: SOP Instance UID → SHA-256 of the pixel data.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from nodes import RunningNode, send, uid_of, until
from orthanc_roundtrip import CONFIG, HTTP, fetched, wait_until_up

TABLES = f"""
[[destination]]
kind = "dicom"
name = "archive"
host = "127.0.0.1"
port = 4242
ae_title = "ORTHANC"
retry = {{first_seconds = 0.05, longest_seconds = 0.3}}
[[destination]]
kind = "dicomweb"
name = "ai"
url = "{HTTP}/dicom-web"
retry = {{first_seconds = 0.05, longest_seconds = 0.3}}
"""


def orthanc(work: Path) -> subprocess.Popen[bytes]:
    """Start it, over what an earlier one has stored."""
    config = work / "orthanc.json"
    config.write_text(json.dumps({**CONFIG, "StorageDirectory": str(work / "db"), "IndexDirectory": str(work / "db")}))
    with (work / "log").open("a") as log:
        server = subprocess.Popen(["Orthanc", str(config)], stdout=log, stderr=log)
    wait_until_up()
    return server


def main(folder: Path, work: Path) -> None:
    paths = sorted(folder.glob("*.dcm"))
    node = RunningNode(work / "node", TABLES)
    server = orthanc(work)
    acknowledged: set[str] = set()

    def insist() -> None:
        while left := [path for path in paths if uid_of(path) not in acknowledged]:
            acknowledged.update(uid for uid, status in send(node.port, left).items() if status == 0)

    try:
        node.start()
        sender = threading.Thread(target=insist, daemon=True)
        sender.start()
        until(lambda: len(acknowledged) >= len(paths) // 3 or not sender.is_alive())
        node.kill()  # both at once, as in a power cut
        server.kill()
        server.wait(20)
        server = orthanc(work)
        node.start()
        sender.join(120)
        until(node.idle, 120)
        node.stop()
        print(json.dumps(fetched()))
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
