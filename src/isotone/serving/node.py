"""The node as a whole: what runs beside what, how it starts after a kill and how it ends."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from isotone._runtime.files import PART, write_text
from isotone._runtime.workers import IsolatedPool, isolated_pool
from isotone.errors import IsotoneError
from isotone.safe_text import printable
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.dashboard import dashboard
from isotone.serving.exposition import MetricsPage, exposition
from isotone.serving.forwarding import Forwarder, tell_of_unknown
from isotone.serving.harmonizing import Harmonizer
from isotone.serving.history import History
from isotone.serving.intake import Intake
from isotone.serving.labour import Harmonizing, Labour, seconds
from isotone.serving.node_settings import Destination, DicomDestination, NodeSettings
from isotone.serving.object_queue import ObjectQueue
from isotone.serving.retention import expire, sweep_unknown
from isotone.serving.senders import Sender
from isotone.serving.spool import AUDIT, DERIVED, Spool
from isotone.serving.storage_scp import StorageScp, wait_for
from isotone.serving.store_scu import StoreScu
from isotone.serving.stow_rs import StowRs
from isotone.serving.transcode import Transcoding
from isotone.serving.waiting import dismiss
from isotone.serving.watch_folder import WatchFolder

HOUSEKEEPING = 60.0
"""Seconds between two rounds of retention."""
LOOK = 1.0
"""Seconds between two looks for a signal: one that the system gives to another thread does not wake the main one, which
waited for ever."""
ENDING = 12.0
"""Seconds that all threads together get to end in, a little more than a connection gets (`store_scu.CONNECT`); what
they had under way is done again. More: whoever stops the node waits longer."""


def say(line: str) -> None:
    """A line on standard error, for the journal of the machine; it names no patient."""
    print(f"isotone: {printable(line)}", file=sys.stderr, flush=True)


class Node:
    """A node that holds its spool.

    Parameters
    ----------
    settings : NodeSettings
    complain : callable
        Gets a line about each trouble.
    """

    def __init__(self, settings: NodeSettings, complain: Callable[[str], None] = say) -> None:
        self.settings, self._complain = settings, complain
        self.spool = Spool(settings.spool)
        self.audit = AuditTrail(self.spool.root / AUDIT)
        self.stop = threading.Event()
        self._room = True
        self._broken: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    @contextmanager
    def running(self, *, retry: bool = False) -> Iterator[None]:
        """Receive, harmonize and forward, until the context is left.

        Parameters
        ----------
        retry : bool
            Take up dead letters and held objects again.

        Raises
        ------
        UsageError
            Another node holds the spool; a harmonizer, certificate or secret is missing; the port is taken.
        ModelError
            A harmonizer is damaged.
        IsotoneError
            E_WRITE.
        """
        settings = self.settings
        with ExitStack() as stack:
            stack.enter_context(self.spool.alone())
            warnings.simplefilter("ignore")  # pydicom's quote values of headers
            stack.callback(setattr, threading, "excepthook", threading.excepthook)
            threading.excepthook = self._say_kind
            self.queue = ObjectQueue(self.spool.database)
            stack.callback(self.queue.close)
            sweep_unknown(self.spool, self.queue)
            dismiss(self.spool, self.queue)
            if retry:
                say(f"taken up again: {self.queue.retry()}")
            self.alerts = Alerts(self._complain, settings.watching.webhook, settings.ae_title)
            tell_of_unknown(self.queue, {one.name for one in settings.destination}, self.alerts)
            labour = Labour.of(settings.rule, self.spool.root / DERIVED)
            pool = stack.enter_context(isolated_pool(labour, workers=settings.workers, seconds=seconds))
            warm_up(pool)
            models = [delivery.harmonizer for delivery in labour.deliveries]
            self.history = History(self.queue, models, settings.watching.alarms_per_year, self.alerts)
            self._start(pool)
            stack.callback(self._end)
            if settings.watching.metrics_port is not None:
                page = MetricsPage(settings.watching.metrics_host, settings.watching.metrics_port, self.metrics)
                page.start()
                stack.callback(page.stop)
            intake = Intake(self.spool, self.queue, self.audit, settings.archive, self._wake, self.alerts)
            for folder in settings.folder:
                watch = WatchFolder(folder, intake, settings.limits, self.spool, self._complain)
                self._thread(lambda watch=watch: watch.run(self.stop))  # type: ignore[misc]
            scp = StorageScp(settings, self.spool, intake)
            scp.start()
            self._thread(scp.run)
            stack.callback(scp.stop)
            yield

    def metrics(self) -> str:
        """The node's numbers (`isotone.serving.exposition`)."""
        return exposition(self.queue, self.history, self.spool, self.forwarders, time.time())

    def wait(self) -> None:
        """Until the node is told to stop.

        Raises
        ------
        IsotoneError
            E_NODE: a part of it failed for a reason that nobody foresaw. Everything is in the spool: start it again.
        """
        while not self.stop.wait(LOOK):
            pass
        if self._broken:
            kind = type(self._broken[0]).__name__
            raise IsotoneError("E_NODE", f"a part of the node failed ({kind})") from self._broken[0]

    def _start(self, pool: IsolatedPool) -> None:
        settings, spool, queue, audit = self.settings, self.spool, self.queue, self.audit

        def transcode(path: Path, syntax: str) -> Path:
            work = Transcoding(path, spool.root / DERIVED / f"{PART}{os.urandom(4).hex()}", syntax)
            failed = pool.result(work, pool.submit(work))
            if isinstance(failed, IsotoneError):
                raise failed
            return work.target

        self.forwarders = [
            Forwarder(to.name, self._sender(to, transcode), to.retry, spool, queue, audit, self.alerts)
            for to in settings.destination
        ]
        self.harmonizer = Harmonizer(settings.rule, spool, queue, audit, self._wake, self.alerts)
        for forwarder in self.forwarders:
            self._thread(lambda forwarder=forwarder: forwarder.run(self.stop))  # type: ignore[misc]
        self._thread(lambda: self.harmonizer.run(self.stop, pool, settings.workers))
        self._thread(self._keep_house)
        if settings.watching.webhook is not None:
            self._thread(lambda: self.alerts.run(self.stop))

    def _sender(self, to: Destination, transcode: Callable[[Path, str], Path]) -> Sender:
        if isinstance(to, DicomDestination):
            return StoreScu(self.settings.ae_title, to, transcode)
        return StowRs(to, transcode)

    def _wake(self) -> None:
        self.harmonizer.awake.set()
        for forwarder in self.forwarders:
            forwarder.awake.set()

    def _keep_house(self) -> None:
        tasks = (self._look_at_disk, self.history.test, self._publish_metrics, self._publish_dashboard, self._clear)
        while not self.stop.is_set():
            for task in tasks:  # each for itself: a page that cannot be written fills no disk
                try:
                    task()
                except IsotoneError as error:
                    self._complain(str(error))
            self.stop.wait(HOUSEKEEPING)

    def _look_at_disk(self) -> None:
        before, self._room = self._room, self.spool.free() >= self.settings.limits.free_bytes
        if before and not self._room:
            self.alerts.tell("disk", "spool", "the spool's disk is full: nothing is received")

    def _publish_metrics(self) -> None:
        if self.settings.watching.textfile is not None:
            write_text(self.settings.watching.textfile, self.metrics())

    def _publish_dashboard(self) -> None:
        if self.settings.watching.dashboard is not None:
            write_text(self.settings.watching.dashboard, dashboard(self.history, time.time()))

    def _clear(self) -> None:
        dismiss(self.spool, self.queue)
        expire(self.settings.retention, self.spool, self.queue, self.audit)

    def _thread(self, run: Callable[[], None]) -> None:
        """Run a part beside the others; where it fails, the whole node ends, and whoever watches it starts it again."""

        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                self._broken.append(error)
                self.stop.set()

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _say_kind(self, ended: threading.ExceptHookArgs) -> None:
        """Say that a thread of pynetdicom's ended by an error, whose text and traceback may quote what a peer sent."""
        self._complain(f"a connection ended by {ended.exc_type.__name__}")

    def _end(self) -> None:
        self.stop.set()
        self.harmonizer.awake.set()
        for forwarder in self.forwarders:
            forwarder.stop()
        self.alerts.stop()
        wait_for(self._threads, ENDING)


def warm_up(pool: IsolatedPool) -> None:
    """Have the workers load what they need: the first object is then as fast as the others."""
    nothing = Harmonizing(Path(os.devnull), "", "", only_choose=True)
    pool.result(nothing, pool.submit(nothing))


def serve(settings: NodeSettings, *, retry: bool = False) -> None:
    """Run a node until a signal ends it.

    Parameters
    ----------
    settings : NodeSettings
        `isotone.serving.node_settings.read_settings` reads them.
    retry : bool
        Take up dead letters and held objects again.

    Raises
    ------
    UsageError, ModelError, IsotoneError
        As `Node.running` and `Node.wait`.
    """
    node = Node(settings)
    with node.running(retry=retry):
        print(f"listening on {settings.host}:{settings.port} as {settings.ae_title}", flush=True)
        node.wait()
