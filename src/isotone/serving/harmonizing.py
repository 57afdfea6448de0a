"""From the queue through the workers and back: each object is harmonized, or dealt with as its rule says."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from isotone._runtime.workers import IsolatedPool
from isotone.data.descriptors.appearance import LAYOUT, SIZE
from isotone.deployment.deliver import Outcome
from isotone.deployment.resume import PASSING
from isotone.errors import IsotoneError
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.labour import Harmonizing, Made
from isotone.serving.node_settings import Retry, Rule
from isotone.serving.object_queue import DONE, HELD, ObjectQueue, Queued
from isotone.serving.spool import DERIVED, Spool
from isotone.serving.waiting import hold, release

AHEAD = 2
"""Objects under way for each worker: one is worked on, the next waits beside it."""
IDLE = 1.0
"""Seconds between two looks into the queue where nobody says that there is something."""
AGAIN = Retry()
"""Waits after trouble that says nothing of the object: a full disk."""


class Harmonizer:
    """Keeps the workers busy; `run` is its thread.

    Attributes
    ----------
    awake : threading.Event
        Set by whoever has put something into the queue.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        spool: Spool,
        queue: ObjectQueue,
        audit: AuditTrail,
        forward: Callable[[], None],
        alerts: Alerts,
    ) -> None:
        self._rules, self._spool, self._queue, self._audit = rules, spool, queue, audit
        self._forward, self._alerts = forward, alerts
        self._start = os.urandom(4).hex()
        self.awake = threading.Event()

    def run(self, stop: threading.Event, pool: IsolatedPool, workers: int) -> None:
        """Until it is told to stop."""
        under_way: dict[Future[Any], tuple[Queued, Harmonizing]] = {}
        failures = 0
        while not stop.is_set():
            try:
                self._fill(under_way, pool, AHEAD * workers)
                if not under_way:
                    self.awake.wait(IDLE)
                    self.awake.clear()
                    continue
                for future in wait(under_way, IDLE, FIRST_COMPLETED).done:
                    queued, work = under_way.pop(future)
                    self._finish(queued, self._result(pool, work, future))
                failures = 0
            except IsotoneError as error:  # the queue's own disk is full: nothing is lost, all is tried again
                failures += 1
                self._alerts.say(str(error))
                stop.wait(AGAIN.wait(failures))

    def _fill(self, under_way: dict[Future[Any], tuple[Queued, Harmonizing]], pool: IsolatedPool, many: int) -> None:
        if len(under_way) >= many:
            return
        busy = [one.id for one, _ in under_way.values()]
        for queued in self._queue.received(many - len(under_way), AGAIN.longest_seconds, busy):
            work = Harmonizing(self._spool.path(queued.path), self._target(queued), queued.sop_class)
            under_way[pool.submit(work)] = queued, work

    def _result(self, pool: IsolatedPool, work: Harmonizing, future: Future[Any]) -> Made:
        """What a worker made; of an image on which it died, the rule, by another call."""
        made = pool.result(work, future)
        if isinstance(made, Made):
            return made
        chosen = replace(work, only_choose=True)
        found = pool.result(chosen, pool.submit(chosen))
        return replace(found if isinstance(found, Made) else Made(None), outcome=made)

    def _finish(self, queued: Queued, made: Made) -> None:
        outcome = made.outcome
        if isinstance(outcome, IsotoneError) and outcome.code in PASSING:
            seconds = AGAIN.wait(queued.failures + 1)
            self._queue.postpone(queued, seconds, outcome.code)
            self._alerts.say(f"{outcome}; next try in {seconds:.0f} s")
            return
        rule = None if made.rule is None else self._rules[made.rule]
        decision, code, paths = self._decide(queued, rule, outcome)
        derived = paths[-1] if decision == "harmonized" else None
        if decision == "held" and rule is not None:
            derived = hold(self._spool, queued.key, queued.path, code=code, rule=rule.name)
        else:
            release(self._spool, queued.key)
        self._queue.finish(
            queued,
            state=HELD if decision == "held" else DONE,
            code=code,
            rule=None if rule is None else rule.name,
            derived=derived,
            deliveries=[] if rule is None else [(name, path) for name in rule.to for path in paths],
            image=_line(made, decision, code),
        )
        self._audit.write(
            decision, queued.key, rule=None if rule is None else rule.name, code=code, model=made.model or None
        )
        if decision == "held" and rule is not None:
            self._alerts.tell("held", rule.name, f"rule {rule.name}: an image is held ({code}); it waits for a person")
        self._forward()

    def _decide(
        self, queued: Queued, rule: Rule | None, outcome: Outcome | IsotoneError | None
    ) -> tuple[str, str | None, tuple[str, ...]]:
        """What is done with an object, the code that says why, and the files that go to the rule's destinations."""
        if rule is None:
            return "no rule", outcome.code if isinstance(outcome, IsotoneError) else None, ()
        if isinstance(outcome, IsotoneError):
            decision, paths = {
                "forward": ("forwarded unchanged", (queued.path,)),
                "hold": ("held", ()),
                "drop": ("dropped", ()),
            }[rule.refused]
            return decision, outcome.code, paths
        derived = f"{DERIVED}/{self._target(queued)}"
        if outcome is not None and outcome.status != "harmonized":  # an image that stays as it is
            self._spool.remove(derived)  # the copy that `apply` makes; the original is sent
            return outcome.status, None, (queued.path,)
        self._spool.sync(derived)
        return "harmonized", None, (queued.path, derived) if rule.deliver == "gsps" else (derived,)

    def _target(self, queued: Queued) -> str:
        """Under a name of this start of the node: what a worker of a killed one still writes takes nobody's place."""
        return str(Path(queued.key[:2]) / f"{queued.key}-{self._start}.dcm")


def _line(made: Made, decision: str, code: str | None) -> tuple[Any, ...]:
    """The image's line of the history."""
    now = datetime.now(UTC)
    look = made.outcome.look if isinstance(made.outcome, Outcome) else None
    numbers = None if look is None else np.asarray(look, "<f4").tobytes()
    brightness = None if look is None else float(np.mean(look[LAYOUT:SIZE]))
    facts = made.scanner, decision, code, made.software, made.model
    return f"{now:%Y-%m-%d}", time.time(), *facts, brightness, numbers
