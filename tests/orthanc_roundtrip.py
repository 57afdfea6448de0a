"""Send a folder to an Orthanc over C-STORE, fetch it back over DICOMweb, print what came back.

Runs in a network namespace of its own, since Debian's Orthanc binds every address:
``unshare -n sh -c 'ip link set lo up && python orthanc_roundtrip.py FOLDER WORK'``. Prints one JSON object:
SOP Instance UID → SHA-256 of the pixel data (of the whole dataset, file meta information apart, where there are none).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from email import message_from_bytes
from io import BytesIO
from pathlib import Path

import pydicom

HTTP = "http://127.0.0.1:8042"
CONFIG = {
    "Name": "test",
    "DicomAet": "ORTHANC",
    "DicomPort": 4242,
    "HttpPort": 8042,
    "RemoteAccessAllowed": False,
    "AuthenticationEnabled": False,
    "DicomCheckCalledAet": True,
    "Plugins": ["/usr/lib/orthanc/plugins/", "/usr/share/orthanc/plugins/"],
    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
}


BY_REST = "by-rest"
"""Folder of files that go in by HTTP, since storescu proposes one compressed transfer syntax at a time."""


def get(path: str, accept: str = "application/json") -> tuple[bytes, str]:
    request = urllib.request.Request(HTTP + path, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), answer.headers["Content-Type"]


def wait_until_up() -> None:
    for _ in range(150):
        try:
            get("/system")
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("Orthanc did not start")


def fingerprint(dataset: pydicom.Dataset) -> str:
    """Of the pixel data; of everything else where there are none."""
    if "PixelData" in dataset:
        return hashlib.sha256(dataset.PixelData).hexdigest()
    return hashlib.sha256(dataset.to_json().encode()).hexdigest()


def fetched() -> dict[str, str]:
    found = {}
    for instance in json.loads(get("/instances")[0]):
        tags = json.loads(get(f"/instances/{instance}/simplified-tags")[0])
        study, series, uid = (tags[f"{level}InstanceUID"] for level in ("Study", "Series", "SOP"))
        path = f"/dicom-web/studies/{study}/series/{series}/instances/{uid}"
        body, kind = get(path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        [part] = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
        found[uid] = fingerprint(pydicom.dcmread(BytesIO(part.get_payload(decode=True))))
    return found


def dcmtk(name: str) -> str:
    """DCMTK's program; where the environment is active, pynetdicom's of the same name comes first."""
    folders = [f for f in os.environ["PATH"].split(os.pathsep) if Path(f) != Path(sys.executable).parent]
    return shutil.which(name, path=os.pathsep.join(folders)) or name


def main(folder: Path, work: Path) -> None:
    config = work / "orthanc.json"
    config.write_text(json.dumps({**CONFIG, "StorageDirectory": str(work / "db"), "IndexDirectory": str(work / "db")}))
    with (work / "log").open("w") as log:
        server = subprocess.Popen(["Orthanc", str(config)], stdout=log, stderr=log)
        try:
            wait_until_up()
            found = sorted(folder.rglob("*.dcm"))
            for path in (path for path in found if BY_REST in path.parts):
                urllib.request.urlopen(HTTP + "/instances", data=path.read_bytes(), timeout=20).close()
            files = [str(path) for path in found if BY_REST not in path.parts]
            send = [dcmtk("storescu"), "-R", "-xt", "-aec", "ORTHANC", "127.0.0.1", "4242"]  # -xt: JPEG-LS, too
            subprocess.run([*send, *files], check=True, capture_output=True)
            print(json.dumps(fetched()))
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
