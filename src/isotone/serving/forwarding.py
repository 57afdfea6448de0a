"""One destination's deliveries: each is tried until it is there, or is a dead letter."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from contextlib import closing

from isotone._runtime.files import write_text
from isotone.errors import IsotoneError
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.node_settings import Retry
from isotone.serving.object_queue import PENDING, Due, ObjectQueue
from isotone.serving.senders import Answer, Answered, Letter, Sender, Unreachable
from isotone.serving.spool import DEAD, DERIVED, Spool

BATCH = 32
"""Objects of an association; more: fewer associations, and a longer list of presentation contexts (128 at most)."""
AWAY = 5
"""Tries in a row that found nobody, after which a person is told: half a minute, with the usual waits."""
IDLE = 1.0
"""Seconds between two looks into the queue where nobody says that there is something."""


def tell_of_unknown(queue: ObjectQueue, names: Collection[str], alerts: Alerts) -> None:
    """Tell of deliveries to destinations that the configuration has no more: nobody sends them."""
    for key, count in queue.counts().items():
        if key[0] == "deliveries" and key[2] == PENDING and key[1] not in names:
            said = f"destination {key[1]} is not in the configuration, and {count} deliveries wait for it"
            alerts.tell("away", key[1], said)


class Forwarder:
    """Sends what is due to one destination; `run` is its thread.

    Attributes
    ----------
    reachable : bool
        Whether the last try reached it.
    awake : threading.Event
        Set by whoever has put something into the queue.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        retry: Retry,
        spool: Spool,
        queue: ObjectQueue,
        audit: AuditTrail,
        alerts: Alerts,
    ) -> None:
        self.name, self._sender, self._retry = name, sender, retry
        self._spool, self._queue, self._audit, self._alerts = spool, queue, audit, alerts
        self.reachable = True
        self.awake = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop."""
        failures = 0
        while not stop.is_set():
            try:
                sent = self._round(stop)
                if failures >= AWAY and not self.reachable:
                    self._alerts.tell("back", self.name, f"destination {self.name} takes objects again")
                failures, self.reachable = 0, True
                if not sent:
                    self.awake.wait(IDLE)
                    self.awake.clear()
            except Unreachable as error:
                failures, self.reachable = failures + 1, False
                if failures == AWAY:
                    self._alerts.tell("away", self.name, f"destination {self.name} takes nothing: {error}")
                self._wait(stop, failures, f"destination {self.name}: {error}")
            except IsotoneError as error:  # a full disk: what was sent and not noted is sent again
                failures += 1
                self._wait(stop, failures, str(error))

    def stop(self) -> None:
        """End what is under way, from another thread, once `run` is told to stop."""
        self.awake.set()
        self._sender.stop()

    def _wait(self, stop: threading.Event, failures: int, why: str) -> None:
        seconds = self._retry.wait(failures)
        self._alerts.say(f"{why}; next try in {seconds:.0f} s")
        stop.wait(seconds)

    def _round(self, stop: threading.Event) -> int:
        """Try what is due; how many."""
        due = self._queue.due(self.name, BATCH, self._retry.longest_seconds)
        if due:
            with closing(self._sender.send([Letter(one, self._spool.path(one.path)) for one in due])) as answers:
                for answered in answers:
                    self._note(answered)
                    if stop.is_set():
                        break
        return len(due)

    def _note(self, answered: Answered) -> None:
        due, code = answered.letter.due, answered.code
        what = "derived" if self._is_derived(due) else "original"
        facts = {"destination": self.name, "what": what, "code": code}
        if answered.answer is Answer.SENT:
            self._queue.sent(due)
            self._audit.write("sent", due.key, **facts)
            if due.path.startswith(f"{DEAD}/"):
                self._spool.remove(due.path)
                self._spool.path(due.path).with_suffix(".json").unlink(missing_ok=True)
            return
        if answered.answer is Answer.REJECTED and due.failures + 1 < self._retry.attempts:
            seconds = self._retry.wait(due.failures + 1)
            self._queue.failed(due, seconds, code or "rejected")
            self._audit.write("rejected", due.key, **facts)
            self._alerts.say(f"destination {self.name} rejects an object ({code}); next try in {seconds:.0f} s")
            return
        self._bury(due, code or "rejected", what)
        self._audit.write("dead", due.key, **facts)
        said = f"destination {self.name} does not take an object ({code}): it is a dead letter now"
        self._alerts.tell("dead letter", self.name, said)

    def _bury(self, due: Due, code: str, what: str) -> None:
        """Keep a file of its own, and say beside it why it is there."""
        place = f"{DEAD}/{self.name}/{due.key}-{what}.dcm"
        if due.path != place and self._spool.path(due.path).exists():
            self._spool.link(due.path, place)
        said = {"destination": self.name, "what": what, "code": code, "tries": due.failures + 1, "time": time.time()}
        write_text(self._spool.path(place).with_suffix(".json"), json.dumps(said) + "\n")
        self._queue.dead(due, code, place)

    def _is_derived(self, due: Due) -> bool:
        return due.path.startswith(f"{DERIVED}/") or due.path.endswith("-derived.dcm")
