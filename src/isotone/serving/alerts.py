"""What a person should know: a line for the machine's journal and, where one is configured, a POST to a webhook."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from isotone._version import __version__
from isotone.errors import UsageError
from isotone.serving.http_session import http_session
from isotone.serving.node_settings import URL, Retry, Secret, Webhook

Kind = Literal["drift", "software", "held", "dead letter", "away", "back", "disk"]
PAUSE = 10.0
"""Seconds between two rounds of POSTs; more: fewer of them, each of which counts more."""
TIMEOUT = (5.0, 10.0)
"""Seconds for a connection, and for an answer."""
AGAIN = Retry()
"""Waits after a POST that failed."""


@dataclass(frozen=True)
class Alert:
    """What happened, and how often since it was last told.

    Attributes
    ----------
    kind : str
    subject : str
        A scanner as the harmonizer calls it, or the name of a destination or rule.
    text : str
        The line, of the last time.
    first : float
        Seconds of the epoch.
    count : int
    """

    kind: Kind
    subject: str
    text: str
    first: float
    count: int = 1


class Alerts:
    """Says lines at once, and tells the webhook of what calls for a person; `run` is its thread.

    Whoever calls it never waits. What is alike (kind and subject) is told as one, with its number: what waits is
    bounded, however long the webhook is away. What waits when the node ends gets one more try.

    Parameters
    ----------
    say : callable
        Gets each line.
    webhook : Webhook or None
    node : str
        AE title.

    Raises
    ------
    UsageError
        E_CONFIG: a secret cannot be read, or is no address.
    """

    def __init__(self, say: Callable[[str], None], webhook: Webhook | None = None, node: str = "") -> None:
        self.say, self._node = say, node
        self._url: str | None = None
        if webhook is not None:
            self._url = address_of(webhook)
            self._session = http_session(webhook.tls, webhook.token)
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], Alert] = {}
        self._awake = threading.Event()

    def tell(self, kind: Kind, subject: str, text: str) -> None:
        """Say a line, and have the webhook told of it; no patient may be in it."""
        self.say(text)
        if self._url is not None:
            self._put(Alert(kind, subject, text, time.time()))
            self._awake.set()

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop, and once more."""
        failures = 0
        while not stop.is_set():
            self._awake.wait()
            self._awake.clear()
            why = self._round()
            failures = 0 if why is None else failures + 1
            seconds = PAUSE if why is None else AGAIN.wait(failures)
            if why is not None:
                self._awake.set()
                self.say(f"webhook: {why}; next try in {seconds:.0f} s")
            stop.wait(seconds)
        self._round()

    def stop(self) -> None:
        """Have `run` look whether it is to stop."""
        self._awake.set()

    def _put(self, alert: Alert) -> None:
        key = (alert.kind, alert.subject)
        with self._lock:
            before = self._waiting.get(key)
            if before is not None:
                alert = replace(alert, first=min(before.first, alert.first), count=before.count + alert.count)
            self._waiting[key] = alert

    def _round(self) -> str | None:
        """Tell what waits; why the first that was not taken was not."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        failed = None
        for alert in waiting.values():
            failed = failed or self._post(alert)
            if failed is not None:
                self._put(alert)
        return failed

    def _post(self, alert: Alert) -> str | None:
        import requests

        body: dict[str, Any] = {
            "kind": alert.kind,
            "subject": alert.subject,
            "text": alert.text,
            "count": alert.count,
            "first": datetime.fromtimestamp(alert.first, UTC).isoformat(timespec="seconds"),
            "node": self._node,
            "version": __version__,
        }
        try:
            with self._session.post(
                self._url, json=body, timeout=TIMEOUT, allow_redirects=False, stream=True
            ) as answer:  # whose body nobody reads
                return None if 200 <= answer.status_code < 300 else f"HTTP status {answer.status_code}"
        except requests.RequestException as error:
            return type(error).__name__  # its text quotes the address, which may hold a secret


def address_of(webhook: Webhook) -> str:
    """The address of a webhook, which may itself be a secret.

    Raises
    ------
    UsageError
        E_CONFIG.
    """
    if not isinstance(webhook.url, Secret):
        return webhook.url
    address = webhook.url.read()
    if not URL.fullmatch(address):
        raise UsageError("the address of the webhook is no http or https address", code="E_CONFIG")
    return address
