"""A webhook is told of what calls for a person, and whoever tells it never waits."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from isotone.errors import UsageError
from isotone.serving import alerts as alerts_module
from isotone.serving.node_settings import Retry, Webhook
from nodes import until

pytest.importorskip("requests")

from isotone.serving.alerts import Alerts


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers with the statuses that the test wants, the last again and again."""

    statuses: list[int]
    got: list[tuple[dict[str, str], dict[str, object]]]

    def do_POST(self) -> None:
        self.got.append((dict(self.headers), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a webhook; waits are short."""
    monkeypatch.setattr(alerts_module, "PAUSE", 0.01)
    monkeypatch.setattr(alerts_module, "AGAIN", Retry(first_seconds=0.01, longest_seconds=0.01))
    Hook.statuses, Hook.got = [200], []
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook?key=geheim"
    server.shutdown()
    server.server_close()


@pytest.fixture
def said() -> list[str]:
    return []


def running(alerts: Alerts) -> tuple[threading.Event, threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=alerts.run, args=(stop,), daemon=True)
    thread.start()
    return stop, thread


def end(alerts: Alerts, stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    alerts.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_an_alert_is_a_line_and_a_post_with_its_token(address, said, tmp_path, monkeypatch):
    """The address, too, may be a secret."""
    (tmp_path / "address").write_text(f"{address}\n")
    monkeypatch.setenv("HOOK_TOKEN", "secret-token")
    webhook = Webhook.model_validate({"url": {"file": tmp_path / "address"}, "token": {"environment": "HOOK_TOKEN"}})
    alerts = Alerts(said.append, webhook, "NODE")
    thread = running(alerts)
    alerts.tell("drift", "Birch", "W_BATCH: Birch: another response")
    until(lambda: Hook.got)
    end(alerts, *thread)
    [(headers, body)] = Hook.got
    assert headers["Authorization"] == "Bearer secret-token"
    assert {name: body[name] for name in ("kind", "subject", "text", "count", "node")} == {
        "kind": "drift",
        "subject": "Birch",
        "text": "W_BATCH: Birch: another response",
        "count": 1,
        "node": "NODE",
    }
    assert said == ["W_BATCH: Birch: another response"]


@pytest.mark.parametrize("status", [302, 404, 503])
def test_what_is_alike_is_told_as_one_when_the_webhook_is_back(address, said, status):
    """Nor is a redirect followed; a line that says why does not quote the address."""
    Hook.statuses = [status]
    alerts = Alerts(said.append, Webhook(url=address), "NODE")
    thread = running(alerts)
    for number in range(50):
        alerts.tell("dead letter", "archive", f"number {number}")
    alerts.tell("away", "archive", "away")
    until(lambda: len(Hook.got) > 3)
    assert len(alerts._waiting) <= 2
    Hook.statuses = [204]
    until(lambda: not alerts._waiting)
    end(alerts, *thread)
    told: dict[object, object] = {body["kind"]: (body["count"], body["text"]) for _, body in Hook.got}
    assert told == {"dead letter": (50, "number 49"), "away": (1, "away")}
    assert any(line.startswith("webhook: ") for line in said)
    assert "geheim" not in "".join(said)


@pytest.mark.slow
def test_whoever_tells_a_webhook_that_never_answers_goes_on(said, monkeypatch):
    monkeypatch.setattr(alerts_module, "TIMEOUT", (0.5, 0.5))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        alerts = Alerts(said.append, Webhook(url=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        thread = running(alerts)
        for number in range(1000):
            alerts.tell("held", f"rule {number % 3}", "held")
        assert thread[1].is_alive()
        assert len(alerts._waiting) <= 3
        end(alerts, *thread)
    assert sum(one.count for one in alerts._waiting.values()) == 1000


def test_what_waits_when_the_node_ends_gets_one_more_try(address, said):
    alerts = Alerts(said.append, Webhook(url=address))
    stop = threading.Event()
    stop.set()
    alerts.tell("held", "rule", "held")
    alerts.run(stop)
    assert len(Hook.got) == 1


def test_without_a_webhook_an_alert_is_a_line(said):
    Alerts(said.append).tell("disk", "spool", "full")
    assert said == ["full"]


def test_a_secret_that_is_no_address_is_refused_and_not_quoted(said, monkeypatch):
    monkeypatch.setenv("HOOK", "geheim")
    with pytest.raises(UsageError) as error:
        Alerts(said.append, Webhook.model_validate({"url": {"environment": "HOOK"}}))
    assert error.value.code == "E_CONFIG"
    assert "geheim" not in str(error.value)
