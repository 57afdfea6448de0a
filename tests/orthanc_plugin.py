"""A real Orthanc with isotone's plugin; prints what it has in the end and what it answered on request.

Runs in a network namespace of its own (see `orthanc_roundtrip`):
``unshare -n sh -c 'ip link set lo up && python orthanc_plugin.py FOLDER HARMONIZER WORK'``. The files of the folder are
sent one half before and one half after a restart of Orthanc, which is killed. Prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from nodes import uid_of, until
from orthanc_roundtrip import CONFIG, HTTP, fetched, get, wait_until_up
from processes import COMMAND

PLUGIN = Path(__file__).parents[1] / "integrations" / "orthanc" / "isotone_plugin.py"


def orthanc(work: Path, harmonizer: Path, *, on_reception: bool) -> subprocess.Popen[bytes]:
    settings = {"Command": COMMAND, "Harmonizer": str(harmonizer), "OnReception": on_reception}
    plugin = {"PythonScript": str(PLUGIN), "Isotone": settings}
    places = {"StorageDirectory": str(work / "db"), "IndexDirectory": str(work / "db")}
    config = work / "orthanc.json"
    config.write_text(json.dumps({**CONFIG, **places, **plugin}))
    with (work / "log").open("a") as log:
        server = subprocess.Popen(["Orthanc", str(config)], stdout=log, stderr=log)
    wait_until_up()
    return server


def post(path: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(HTTP + path, data=body), timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def store(paths: list[Path]) -> dict[str, str]:
    """Orthanc's identifier of each SOP Instance UID."""
    return {uid_of(path): post("/instances", path.read_bytes())[1]["ID"] for path in paths}


def count() -> int:
    return len(json.loads(get("/instances")[0]))


def main(folder: Path, harmonizer: Path, work: Path) -> None:
    paths = sorted(folder.glob("*.dcm"))
    server = orthanc(work, harmonizer, on_reception=False)
    try:
        store(paths[::2])
        server.kill()
        server.wait(20)
        server = orthanc(work, harmonizer, on_reception=True)  # it makes up for what came before
        names = store(paths[1::2])
        until(lambda: count() >= 2 * len(paths) - 1, 120)
        answers = [post(f"/isotone/instances/{name}/harmonize") for name in names.values()]
        print(json.dumps({"has": fetched(), "answers": answers, "count": count()}))
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
