"""Crash-isolated work: one bad item costs one item."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import NamedTuple

import pytest

from isotone._runtime.workers import AHEAD, BATCH, map_isolated
from isotone.errors import IsotoneError, RadiographError
from processes import start


class Panic(BaseException):
    """What a codec written in Rust raises is no Exception."""


def misbehave(item: str) -> str:
    match item:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "panic":
            raise Panic("PLANTED^NAME")
        case "allocate":
            bytearray(64 * 2**30)
        case "exit":
            sys.exit(3)
        case "refuse":
            raise RadiographError("E_RESCALE", "slope 0")
    return item.upper()


class Held(NamedTuple):
    """An item that names its file."""

    path: Path


def misbehave_on(item: Held) -> str:
    return misbehave(item.path.name)


def crash_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second time"


def code(result: object) -> object:
    return result.code if isinstance(result, IsotoneError) else result


EXPECTED = {
    "a": "A",
    "segfault": "E_CRASH",
    "hang": "E_TIMEOUT",
    "panic": "E_DECODE",
    "allocate": "E_BOMB",
    "exit": "E_CRASH",
    "refuse": "E_RESCALE",
    "b": "B",
}


@pytest.mark.slow
@pytest.mark.parametrize("share", [None, lambda item: 0.25], ids=["alone", "in batches"])
def test_a_crash_a_hang_or_a_huge_allocation_costs_one_item_and_the_order_is_kept(share):
    items = ["a"] * 16 * (share is not None) + list(EXPECTED)  # batches grow
    results = list(map_isolated(misbehave, items, workers=2, seconds=lambda item: 3.0, share=share))
    assert [item for item, _ in results] == items
    assert {item: code(result) for item, result in results} == EXPECTED


@pytest.mark.slow
def test_a_refusal_in_a_batch_names_its_own_file(tmp_path):
    items = [Held(tmp_path / name) for name in ("a", "segfault", "b")] * 4
    results = list(map_isolated(misbehave_on, items, workers=1, share=lambda item: 0.25))
    assert [result.file for _, result in results[1::3]] == [str(tmp_path / "segfault")] * 4
    assert [code(result) for _, result in results] == ["A", "E_CRASH", "B"] * 4


def test_the_message_of_an_unexpected_exception_is_not_repeated():
    [(_, refusal)] = map_isolated(misbehave, ["panic"], workers=1)
    assert "PLANTED" not in str(refusal)
    assert "Panic" in str(refusal)


def test_what_crashes_once_is_tried_again(tmp_path):
    [(_, result)] = map_isolated(crash_once, [str(tmp_path / "marker")], workers=1)
    assert result == "second time"


def test_without_processes_the_same_results_come(tmp_path):
    items = ["a", "panic", "refuse", "b"]
    results = [code(result) for _, result in map_isolated(misbehave, items, workers=0)]
    assert results == ["A", "E_DECODE", "E_RESCALE", "B"]


def test_any_executor_can_do_the_work():
    with ThreadPoolExecutor(2) as executor:
        results = list(map_isolated(misbehave, ["a", "refuse", "b"], workers=2, executor=executor))
    assert [code(result) for _, result in results] == ["A", "E_RESCALE", "B"]


class Cluster(Executor):
    """Pickles what it is given, and loses its worker on every batch that holds one item."""

    def __init__(self, bad: str = "") -> None:
        self.bad, self.batches = bad, []

    def submit(self, function, /, *given):
        future: Future[object] = Future()
        call, (batch,) = ForkingPickler.loads(ForkingPickler.dumps((function, given)))
        self.batches.append(batch)
        if self.bad in batch:
            future.set_exception(ChildProcessError("KilledWorker"))
        else:
            future.set_result(call(batch))
        return future


def test_an_executor_gets_the_function_once_for_many_items():
    items, cluster = [f"a{n}" for n in range(1000)], Cluster()
    results = map_isolated(misbehave, items, workers=2, executor=cluster)
    assert list(results) == [(item, item.upper()) for item in items]
    assert len(cluster.batches) == -(-1000 // BATCH)


def test_few_items_are_spread_over_the_workers_of_an_executor():
    cluster = Cluster()
    list(map_isolated(misbehave, ["a"] * 6, workers=3, executor=cluster))
    assert [len(batch) for batch in cluster.batches] == [1] * 6


def test_an_item_that_a_cluster_loses_its_worker_on_costs_that_item():
    items, cluster = [f"a{n}" for n in range(100)], Cluster("a7")
    results = dict(map_isolated(misbehave, items, workers=1, executor=cluster))
    assert code(results.pop("a7")) == "E_CRASH"
    assert results == {item: item.upper() for item in items if item != "a7"}


def test_items_are_drawn_as_results_are_taken():
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield str(number)

    with ThreadPoolExecutor(2) as executor:
        results = map_isolated(misbehave, items(), workers=2, executor=executor)
        for _ in range(10):
            next(results)
        assert len(drawn) <= 2 * AHEAD * BATCH + BATCH
        results.close()


@pytest.mark.slow
def test_ctrl_c_stops_at_once_and_leaves_no_process_behind(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
            from test_workers import misbehave
            from isotone._runtime.workers import map_isolated
            if __name__ == "__main__":
                try:
                    for item, result in map_isolated(misbehave, ["a", "hang", "hang"], workers=2):
                        print(result, flush=True)
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
            """
        )
    )
    process = start([sys.executable, script], stderr=None)
    assert process.stdout is not None
    assert process.stdout.readline() == "A\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    assert process.communicate(timeout=30)[0] == "interrupted\n"
    deadline = time.monotonic() + 20
    while _alive(process.pid) and time.monotonic() < deadline:  # the forkserver notices that its parent is gone
        time.sleep(0.1)
    assert not _alive(process.pid)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_script_without_a_main_guard_does_not_start_itself_again(tmp_path: Path) -> None:
    """Researchers' scripts rarely have one; multiprocessing would run the script anew in every worker."""
    script = tmp_path / "script.py"
    script.write_text(
        "from isotone._runtime.workers import map_isolated\nprint('ran')\n"
        "print(list(map_isolated(abs, [-1, -2], workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["ran", "[(-1, 1), (-2, 2)]"], done.stderr
