"""A node under load: objects a second beside `apply`, and memory over thousands of objects.

    python -m benchmarks.serve [--many 500] [--large 8]

Many small objects (64 px) from three associations, one of them after the other, to a destination in this process; the
node's own memory (all of its processes) is looked at every second. Then a few large ones (3328 × 2560, 12 bits), beside
`isotone.apply` on the same files with as many workers (one), in one run.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from dicoms import pixels, radiograph, write
from isotone import Manifest
from isotone.deployment.apply import apply
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from nodes import Destination, RunningNode, send, until


def memory(process: int) -> float:
    """Proportional set size of a process and all that it started, in MiB; a page that several share counts once."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family, size = {process}, 0
    while size != len(family):
        size = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    total = 0
    for one in family:
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class MemoryWatch:
    """Looks at the memory of a node every second, also while it is killed and started again.

    Parameters
    ----------
    node : RunningNode
    """

    def __init__(self, node: RunningNode) -> None:
        self._node, self._done = node, threading.Event()
        self.seen: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            if self._node.process is not None and self._node.process.poll() is None:
                self.seen.append(memory(self._node.process.pid))

    def quarters(self) -> list[float]:
        """End it; the median of each quarter of the time, in MiB (none after less than four looks)."""
        self._done.set()
        self._thread.join()
        return [float(np.median(part)) for part in np.array_split(self.seen, 4) if part.size]


def small(folder: Path, count: int) -> None:
    """Objects a second and memory by time."""
    source = folder / "small"
    source.mkdir()
    paths = [write(radiograph(seed=number), source / f"{number}.dcm") for number in range(count)]
    to = Destination(keep=False)
    node = RunningNode(folder / "node", to.table("archive") + to.table("ai"))
    node.start()
    watch = MemoryWatch(node)
    began = time.monotonic()
    senders = [threading.Thread(target=send, args=(node.port, paths[k::3])) for k in range(3)]
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    received = time.monotonic() - began
    until(node.idle, 3600)
    whole = time.monotonic() - began
    medians = watch.quarters()
    node.stop()
    to.close()
    print(f"{count} objects: acknowledged {count / received:.1f} a second, forwarded {count / whole:.1f} a second")
    print("memory by quarter of the time, median, MiB:", ", ".join(f"{one:.0f}" for one in medians))


def large(folder: Path, count: int) -> None:
    """Seconds from the first byte to the last delivery, as a ratio to those of `apply`."""
    source = folder / "large"
    source.mkdir()
    stored = pixels(rows=3328, columns=2560)
    for number in range(count):
        write(radiograph(np.roll(stored, number), seed=number), source / f"{number}.dcm")
    to = Destination(keep=False)
    node = RunningNode(folder / "node-large", to.table("archive") + to.table("ai"))
    node.start()
    paths = sorted(source.iterdir())

    def served(some: list[Path]) -> float:
        began = time.monotonic()
        send(node.port, some)
        until(node.idle, 3600)
        return time.monotonic() - began

    def applied(some: list[Path]) -> float:
        began = time.monotonic()
        apply(harmonizer, Manifest.from_paths(some), folder / f"out-{len(some)}", workers=1, quiet=True)
        return time.monotonic() - began

    served(paths[:1])
    node_each = served(paths[1:]) / (count - 1)
    node.stop()
    to.close()
    harmonizer = ToneCurveHarmonizer.load(node.folder / "harmonizer")
    applied(paths[:1])  # the process that starts workers is loaded then, as the node's is
    apply_each = applied(paths[1:]) / (count - 1)
    print(f"{count} images of 8.5 Mpx: node {node_each:.2f} s each, apply {apply_each:.2f} s each")
    print(f"ratio of the node to apply: {node_each / apply_each:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=500)
    parser.add_argument("--large", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.many:
            small(Path(folder), given.many)
        if given.large > 1:
            large(Path(folder), given.large)


if __name__ == "__main__":
    main()
