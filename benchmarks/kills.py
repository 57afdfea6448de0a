"""Does a node lose what it acknowledged? Killed with -9 at random moments, between storescu and a real Orthanc.

    python -m benchmarks.kills [--objects 500] [--events 20] [--side 64] [SCENARIO ...]

DCMTK's storescu sends from four associations at a time, and sends again what was not acknowledged. Archive: Orthanc by
C-STORE. Other destination: the same Orthanc by STOW-RS. What happens while objects come, `--events` times each:

    kills     the node is killed and started again
    both      node and Orthanc are killed together, as in a power cut
    disk      the spool's disk (tmpfs) fills up for a while
    away      Orthanc is stopped for a while
    rejects   as `kills`; the other destination is a small one of ours that rejects every tenth object

In the end the Orthanc must have every object and what `isotone.apply` makes of it (SHA-256 of the pixel data), once
each, and nothing else. Runs as root on Linux, in a network namespace of its own (`unshare -n`).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from benchmarks.serve import MemoryWatch
from dicoms import pixels, radiograph, write
from isotone import Manifest
from isotone.deployment.apply import apply
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from nodes import Destination, RunningNode, uid_of, until
from orthanc_node import TABLES, orthanc
from orthanc_roundtrip import dcmtk, fetched, fingerprint

ASSOCIATIONS, EACH = 4, 25
"""Of storescu at a time, and files of each."""
SENT = re.compile(r"Sending file: (\S+)|Received Store Response \((\w+)")
SCENARIOS = ("kills", "both", "disk", "away", "rejects")
DISK = 96
"""MiB of the small disk."""


class Modality:
    """Sends files until each is acknowledged; `left` are those that are not, `tries` how often storescu was run."""

    def __init__(self, port: int, paths: list[Path]) -> None:
        self._port, self._lock = port, threading.Lock()
        self.left = list(paths)
        self.tries = 0
        self.threads = [threading.Thread(target=self._insist, args=(k,), daemon=True) for k in range(ASSOCIATIONS)]
        for one in self.threads:
            one.start()

    def _insist(self, number: int) -> None:
        while True:
            with self._lock:
                mine = self.left[number::ASSOCIATIONS][:EACH]
            if not mine:
                if not self.left:
                    return
                time.sleep(0.2)
                continue
            command = [dcmtk("storescu"), "-v", "-nh", "-aet", "STORESCU", "-aec", "ISOTONE", "127.0.0.1"]
            done = subprocess.run([*command, str(self._port), *map(str, mine)], capture_output=True, text=True)
            now, taken = "", set()
            for path, status in SENT.findall(done.stdout + done.stderr):
                now = path or now
                taken |= {now} if status == "Success" else set()
            with self._lock:
                self.left = [path for path in self.left if str(path) not in taken]
                self.tries += 1
            if len(taken) < len(mine):
                time.sleep(0.3)


def disturb(scenario: str, node: RunningNode, work: Path, server: list[subprocess.Popen[bytes]]) -> None:
    """One event."""
    if scenario in ("kills", "rejects"):
        node.kill()
        node.start()
    elif scenario == "both":
        node.kill()
        server[0].kill()
        server[0].wait(20)
        server[0] = orthanc(work)
        node.start()
    elif scenario == "away":
        server[0].terminate()
        server[0].wait(20)
        time.sleep(random.uniform(1.0, 8.0))
        server[0] = orthanc(work)
    else:
        ballast = node.spool / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(2**16))
            except OSError:
                time.sleep(random.uniform(0.5, 5.0))
        ballast.unlink()


def run(scenario: str, folder: Path, paths: list[Path], events: int) -> None:
    work = folder / scenario
    (work / "node" / "spool").mkdir(parents=True)
    ai = Destination(status=lambda uid: 0xC001 if uid.endswith("7") else 0) if scenario == "rejects" else None
    tables = TABLES if ai is None else TABLES.partition('[[destination]]\nkind = "dicomweb"')[0] + ai.table("ai")
    if scenario == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", work / "node" / "spool"], check=True)
    node = RunningNode(work / "node", tables)
    server = [orthanc(work)]
    try:
        node.start()
        began = time.monotonic()
        watch = MemoryWatch(node)
        modality = Modality(node.port, paths)
        happened = 0
        while happened < events and modality.left:
            # At a random moment: after some more objects, on average so many that the events fill the whole time.
            until_left = len(modality.left) - random.uniform(0, 2 * len(paths) / events)
            while modality.left and len(modality.left) > until_left:
                time.sleep(0.02)
            time.sleep(random.uniform(0.0, 0.5))
            disturb(scenario, node, work, server)
            happened += 1
        until(lambda: not modality.left, 7200)
        until(node.idle, 7200)
        seconds = time.monotonic() - began
        used = " / ".join(f"{one:.0f}" for one in watch.quarters())
        has = fetched()
        dead = node.rows("SELECT COUNT(*) FROM deliveries WHERE state = 'dead'")[0][0]
        node.stop()
    finally:
        server[0].terminate()
        server[0].wait(20)
        if scenario == "disk":
            subprocess.run(["umount", "-l", work / "node" / "spool"], check=True)
    originals = {uid_of(path): fingerprint(pydicom.dcmread(path)) for path in paths}
    harmonizer = ToneCurveHarmonizer.load(node.folder / "harmonizer")
    out = folder / "out"
    if not out.exists():
        apply(harmonizer, Manifest.from_paths([paths[0].parent]), out, workers=1, quiet=True)
    made = {uid_of(path): fingerprint(pydicom.dcmread(path)) for path in out.glob("*.dcm")}
    lost, other = differences(has, originals if ai is not None else originals | made)
    if ai is not None:
        ai.close()
        rejected = {uid for uid in made if uid.endswith("7")}
        lost += len(made.keys() - rejected - ai.got.keys()) + abs(dead - len(rejected))
        other += len(ai.got.keys() - made.keys()) + sum(len(set(digests)) > 1 for digests in ai.got.values())
    print(
        f"| {scenario} | {len(paths)} | {happened} | {modality.tries} | {lost} | {other} | {dead} | "
        f"{seconds:.0f} s | {used} |",
        flush=True,
    )


def differences(has: dict[str, str], wanted: dict[str, str]) -> tuple[int, int]:
    """How many are missing; how many are others, or too many."""
    return len(wanted.keys() - has.keys()), sum(has[uid] != wanted.get(uid) for uid in has)


def objects_of(folder: Path, count: int, side: int) -> list[Path]:
    folder.mkdir()
    stored = pixels(rows=side, columns=side)
    return [write(radiograph(np.roll(stored, n), seed=n), folder / f"{n}.dcm") for n in range(count)]


def inside(function: Callable[[], None]) -> None:
    """Call it in a network namespace, since Debian's Orthanc binds every address."""
    if os.environ.get("ISOTONE_NAMESPACE"):
        return function()
    command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-m"]
    environment = {**os.environ, "ISOTONE_NAMESPACE": "1"}
    sys.exit(subprocess.run([*command, "benchmarks.kills", *sys.argv[1:]], env=environment).returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", default=[], choices=[*SCENARIOS, []])
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    def measure() -> None:
        random.seed(given.seed)
        print("| | objects | events | runs of storescu | lost | others, twice | dead letters | time | MiB by quarter |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            paths = objects_of(Path(folder) / "in", given.objects, given.side)
            for scenario in given.scenario or SCENARIOS:
                run(scenario, Path(folder), paths, given.events)

    inside(measure)


if __name__ == "__main__":
    main()
