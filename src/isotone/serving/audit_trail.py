"""A line of JSON for each thing done with an object; identifiers are hashed, so that no line names a patient."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path


class AuditTrail:
    """One file a day (UTC), ``audit-YYYY-MM-DD.jsonl``; lines are appended whole, from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, event: str, instance: str, **facts: object) -> None:
        """Append a line: what was done, to which object (SHA-256 of its SOP Instance UID, 128 bits).

        A full disk costs the line, not the object: what counts is in the queue.
        """
        now = datetime.now(UTC)
        known = {name: value for name, value in facts.items() if value is not None}
        line = {"time": now.isoformat(timespec="milliseconds"), "event": event, "instance": instance[:32]} | known
        path = self._folder / f"audit-{now:%Y-%m-%d}.jsonl"
        with self._lock:
            try:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError:
                return

    def expire(self, days: float) -> None:
        """Take away the files that are older."""
        for path in self._folder.glob("audit-*.jsonl"):
            if path.stat().st_mtime < datetime.now(UTC).timestamp() - days * 86400:
                path.unlink(missing_ok=True)
