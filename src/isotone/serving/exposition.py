"""The node's numbers in Prometheus' text format, by HTTP or as a file for the textfile collector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from isotone._version import __version__
from isotone.errors import IsotoneError, UsageError
from isotone.serving.forwarding import Forwarder
from isotone.serving.history import Day, History
from isotone.serving.object_queue import PENDING, ObjectQueue
from isotone.serving.spool import Spool

Sample = tuple[Mapping[str, str], float]
TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(queue: ObjectQueue, history: History, spool: Spool, forwarders: Iterable[Forwarder], now: float) -> str:
    """All metrics.

    Raises
    ------
    IsotoneError
        E_WRITE: the queue cannot be read.
    """
    counts = queue.counts().items()
    oldest = queue.rows("SELECT destination, MIN(due) FROM deliveries WHERE state = ? GROUP BY destination", PENDING)
    alarms: dict[str, float] = {}
    chances: dict[tuple[str, str], float] = {}
    for test in history.tests():
        alarms[test.scanner] = alarms.get(test.scanner, 0) + test.alarm
        chances[test.scanner, str(test.images)] = test.chance
    pairs = [
        _family("isotone_build_info", "gauge", "Version of isotone.", [({"version": __version__}, 1)]),
        _family(
            "isotone_objects",
            "gauge",
            "Objects in the spool by state.",
            [({"state": key[1]}, count) for key, count in counts if key[0] == "objects"],
        ),
        _family(
            "isotone_deliveries",
            "gauge",
            "Deliveries by destination and state.",
            [({"destination": key[1], "state": key[2]}, count) for key, count in counts if key[0] == "deliveries"],
        ),
        _family(
            "isotone_oldest_pending_seconds",
            "gauge",
            "Since when the longest waiting delivery has been due.",
            [({"destination": name}, max(now - due, 0)) for name, due in oldest],
        ),
        _family(
            "isotone_destination_reachable",
            "gauge",
            "Whether the last try reached the destination.",
            [({"destination": one.name}, float(one.reachable)) for one in forwarders],
        ),
        _family("isotone_spool_free_bytes", "gauge", "Free on the spool's disk.", [({}, spool.free())]),
        *_of_images(history.days()),
        _family(
            "isotone_drift_alarms",
            "gauge",
            "Drift tests in the history that were alarms.",
            [({"scanner": scanner}, count) for scanner, count in alarms.items()],
        ),
        _family("isotone_drift_chance", "gauge", "Chance of the last test by length.", _labelled(chances, "images")),
    ]
    return "".join(pairs)


def _of_images(days: Sequence[Day]) -> list[str]:
    """What the days say of the images of each scanner."""
    images: dict[tuple[str, str], float] = {}
    refusals: dict[tuple[str, str], float] = {}
    software: dict[tuple[str, str], float] = {}
    latest: dict[str, list[Day]] = {}
    for day in days:
        if day.software is not None:
            software[day.scanner, day.software] = software.get((day.scanner, day.software), 0) + day.images
        if day.brightness is not None:
            same = [one for one in latest.get(day.scanner, []) if one.day == day.day]
            latest[day.scanner] = [*same, day]
        images[day.scanner, day.decision] = images.get((day.scanner, day.decision), 0) + day.images
        if day.code is not None:
            refusals[day.scanner, day.code] = refusals.get((day.scanner, day.code), 0) + day.images
    return [
        _family("isotone_images", "gauge", "Images in the history by decision.", _labelled(images, "decision")),
        _family("isotone_refusals", "gauge", "Refusals in the history by code.", _labelled(refusals, "code")),
        _family("isotone_software", "gauge", "Images in the history by SoftwareVersions.", _labelled(software, "hash")),
        _family(
            "isotone_brightness",
            "gauge",
            "Mean brightness of the images of the last day, in [0, 1].",
            [({"scanner": scanner}, _mean(some)) for scanner, some in latest.items()],
        ),
    ]


class MetricsPage:
    """Answers ``GET /metrics``, and nothing else, from `start` to `stop`."""

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        class Page(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if self.path != "/metrics":
                    self.send_error(404)
                    return
                try:
                    body = text().encode()
                except IsotoneError:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: who scrapes is no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Page)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", code="E_CONFIG") from None

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _mean(days: Sequence[Day]) -> float:
    """Brightness of all images of a day."""
    return sum(day.images * (day.brightness or 0.0) for day in days) / sum(day.images for day in days)


def _labelled(values: Mapping[tuple[str, str], float], label: str) -> list[Sample]:
    return [({"scanner": scanner, label: other}, value) for (scanner, other), value in values.items()]


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{said}}} {value:.10g}" if said else f"{name} {value:.10g}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
