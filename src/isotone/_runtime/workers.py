"""Work on files in processes of their own: a crash, a hang or a huge allocation costs one file alone.

The pool of `concurrent.futures` breaks when one worker dies and cannot stop a task that hangs; pebble's
survives both. Anybody's executor (Dask, for many machines) can take its place, with its own isolation.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from isotone.errors import IsotoneError, RadiographError

X = TypeVar("X")
T = TypeVar("T")

MEMORY = 4 * 2**30
"""Bytes of address space that a worker may take beyond what its imports hold."""
WINDOW = 8
"""Tasks under way for each worker: results wait for their turn, and a million must not sit in memory."""
BATCH = 32
"""Items of a batch at most. An executor gets the function with each, and a harmonizer has about 70 kB; a process of the
pool takes a message of 0.3 ms for each. The more there are, the more are done again where a worker is lost."""
AHEAD = 2
"""Batches under way for each worker: one that it works on, and one that has come."""
REPORT = "Leave the file out; if other programs read it, report this line."

_function: Callable[[Any], Any]


def map_isolated(
    function: Callable[[X], T],
    items: Iterable[X],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    seconds: Callable[[X], float] | None = None,
    share: Callable[[X], float] | None = None,
) -> Generator[tuple[X, T | IsotoneError], None, None]:
    """Call a function on every item in crash-isolated processes; yield in the order of the items.

    Parameters
    ----------
    function : callable
        Picklable; sent to each worker once, to an executor once for each batch of items.
    items : iterable
        Picklable; drawn as there is room.
    workers : int
        Number of processes; 0: in this process, with neither isolation nor time limit.
    executor : concurrent.futures.Executor, optional
        Runs the calls in place of the pool; `workers` then says how many it has.
    seconds : callable, optional
        Time limit of an item, counted from when a worker takes it.
    share : callable, optional
        For items that take less time than a message: how much of a batch an item is, 1: it goes alone. A batch has the
        longest time limit of its items; where it breaks that, or its worker dies, each item is done again alone.

    Yields
    ------
    item, result or IsotoneError
        What the function refused, and E_DECODE (it raised anything else), E_BOMB (out of memory), E_TIMEOUT,
        or E_CRASH (the process died on it twice).
    """
    if workers == 0 and executor is None:
        for item in items:
            yield item, _guarded(function, item)
        return
    if executor is not None:
        yield from _on_executor(function, items, executor, max(workers, 1))
        return
    if share is not None:
        yield from _by_batches(function, items, max(workers, 1), seconds, share)
        return
    with ExitStack() as stack:
        pool = stack.enter_context(isolated_pool(function, workers=workers, seconds=seconds))
        waiting: deque[tuple[X, Future[Any]]] = deque()
        stack.callback(lambda: [future.cancel() for _, future in waiting])
        for item in items:
            waiting.append((item, pool.submit(item)))
            if len(waiting) >= WINDOW * max(workers, 1):
                first, future = waiting.popleft()
                yield first, pool.result(first, future)
        while waiting:
            first, future = waiting.popleft()
            yield first, pool.result(first, future)


def _on_executor(
    function: Callable[[X], T], items: Iterable[X], executor: Executor, workers: int
) -> Generator[tuple[X, T | IsotoneError], None, None]:
    """`map_isolated` by batches on somebody's executor."""
    size = BATCH if not isinstance(items, Sized) else min(max(len(items) // (2 * AHEAD * workers), 1), BATCH)
    call = _InBatches(function)
    drawn = iter(items)
    waiting: deque[tuple[list[X], Future[list[Any]]]] = deque()
    try:
        while True:
            while len(waiting) < AHEAD * workers and (batch := [*islice(drawn, size)]):
                waiting.append((batch, executor.submit(call, batch)))
            if not waiting:
                return
            batch, future = waiting.popleft()
            yield from zip(batch, _results(call, batch, future, executor), strict=True)
    finally:
        for _, future in waiting:
            future.cancel()


def _by_batches(
    function: Callable[[X], T],
    items: Iterable[X],
    workers: int,
    seconds: Callable[[X], float] | None,
    share: Callable[[X], float],
) -> Generator[tuple[X, T | IsotoneError], None, None]:
    """`map_isolated` by batches on processes of its own."""
    longest = None if seconds is None else lambda batch: max(map(seconds, batch))
    with isolated_pool(_InBatches(function), workers=workers, seconds=longest) as pool:
        waiting: deque[tuple[list[X], Future[Any]]] = deque()
        for batch in _growing(items, workers, share):
            waiting.append((batch, pool.submit(batch)))
            if len(waiting) >= AHEAD * workers:
                first, future = waiting.popleft()
                yield from zip(first, _of_batch(first, future, pool), strict=True)
        while waiting:
            first, future = waiting.popleft()
            yield from zip(first, _of_batch(first, future, pool), strict=True)


def _growing(items: Iterable[X], workers: int, share: Callable[[X], float]) -> Iterator[list[X]]:
    """Batches of one item at first, so that every worker has some, and of up to `BATCH` later."""
    batch: list[X] = []
    full, count = 0.0, 0
    for item in items:
        batch.append(item)
        full, count = full + share(item), count + 1
        if full >= 1 or len(batch) >= min(BATCH, 1 + count // (4 * workers)):
            yield batch
            batch, full = [], 0.0
    if batch:
        yield batch


def _of_batch(batch: list[X], future: Future[Any], pool: IsolatedPool) -> Iterator[Any]:
    """What became of a batch; where it was not done, of each item alone."""
    result = pool.result(batch, future, retry=False)
    if not isinstance(result, IsotoneError):
        yield from result
        return
    for item in batch:
        alone = pool.result([item], pool.submit([item]))
        if isinstance(alone, IsotoneError):
            alone.file = _path(item)
            yield alone
        else:
            yield alone[0]


@dataclass(frozen=True)
class _InBatches:
    """Calls a function on several items."""

    function: Callable[[Any], Any]

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        return [_guarded(self.function, item) for item in items]


def _results(
    call: _InBatches, batch: Sequence[Any], future: Future[list[Any]], executor: Executor
) -> Iterator[Any | IsotoneError]:
    """What became of a batch; where its worker was lost, of each item alone."""
    try:
        yield from future.result()
        return
    except Exception:  # whatever the engine calls it: the function's own errors are results
        pass
    for item in batch:
        try:
            yield executor.submit(call, [item]).result()[0]
        except Exception:
            yield _refusal("E_CRASH", "the process that worked on it died", item)


@dataclass(frozen=True)
class IsolatedPool:
    """Calls a function on one item after the other, for as long as somebody has items.

    Attributes
    ----------
    submit : callable
        Item → its future.
    """

    submit: Callable[[Any], Future[Any]]

    def result(self, item: Any, future: Future[Any], *, retry: bool = True) -> Any:
        """What the function returned, or the `IsotoneError` that `map_isolated` would yield; waits for it."""
        try:
            return future.result()
        except TimeoutError:
            return _refusal("E_TIMEOUT", "took longer than its time limit", item)
        except (ProcessExpired, BrokenExecutor):
            if retry:  # it may have been the out-of-memory killer's choice, or another task's fault
                with suppress(RuntimeError):  # an executor that is broken for good
                    return self.result(item, self.submit(item), retry=False)
            return _refusal("E_CRASH", "the process that worked on it died", item)


@contextmanager
def isolated_pool(
    function: Callable[[Any], Any], *, workers: int = 1, seconds: Callable[[Any], float] | None = None
) -> Iterator[IsolatedPool]:
    """Crash-isolated processes, until the context is left; parameters as for `map_isolated`."""
    with ExitStack() as stack:
        pool = ProcessPool(max(workers, 1), initializer=_start, initargs=(function,), context=_context())
        stack.callback(pool.join)
        stack.callback(pool.stop)  # called first, on Ctrl-C too: stops the workers where they are
        yield IsolatedPool(lambda item: pool.schedule(_run, (item,), timeout=seconds(item) if seconds else None))


METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""Workers start from a clean process: forking one that has threads (torch, pebble) can deadlock."""
_Process: Any = multiprocessing.get_context(METHOD).Process  # type: ignore[attr-defined]


class Worker(_Process):  # type: ignore[misc]
    """A process that does not run the caller's script again, as multiprocessing would have it do.

    Nothing in it is needed, and a script without ``if __name__ == "__main__"`` would start itself in every worker.
    """

    @staticmethod
    def _Popen(process: Any) -> Any:
        main = sys.modules["__main__"]
        kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
        try:
            for name in kept:
                setattr(main, name, None)
            return _Process._Popen(process)
        finally:
            for name, value in kept.items():
                setattr(main, name, value)


def _context() -> Any:
    context: Any = copy.copy(multiprocessing.get_context(METHOD))
    context.Process = Worker
    if METHOD == "forkserver":
        context.set_forkserver_preload(["isotone._runtime.worker_start", "isotone.data.images"])
    return context


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    # A codec that hangs never comes back to Python, where a handler would run: die at once instead.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = held + MEMORY if hard == resource.RLIM_INFINITY else min(held + MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # the processes share the cores already


def _run(item: Any) -> Any:
    try:
        return _guarded(_function, item)
    except SystemExit:
        os._exit(1)  # pebble would carry it over and end the caller


def _guarded(function: Callable[[X], T], item: X) -> T | IsotoneError:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's and highdicom's quote values of the header
            return function(item)
    except IsotoneError as error:
        error.file = error.file or _path(item)
        return error
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        return _refusal("E_BOMB", "needs more memory than a worker may take", item)
    except BaseException as error:  # a panic of a codec written in Rust is no Exception
        return _refusal("E_DECODE", f"unexpected {type(error).__name__} in {_where(error)}", item, REPORT)


def _where(error: BaseException) -> str:
    """The innermost place, and never the message: that may quote a header."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}, line {trace.tb_lineno}"


def _refusal(code: str, what: str, item: Any, next_step: str | None = None) -> RadiographError:
    return RadiographError(code, what, file=_path(item), next_step=next_step)


def _path(item: Any) -> str | None:
    path = getattr(item, "path", None)
    return None if path is None else str(path)
