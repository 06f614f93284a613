"""Threads that hand on items and errors, and never keep anybody waiting."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from jaxface.tracking import threads
from jaxface.tracking.threads import Timeline, Writer, prefetch

LONGEST_S = 300


@pytest.fixture(autouse=True)
def deadline():
    """Breaks a deadlock, and sees that no test leaves a thread behind."""

    def too_late(*_):
        raise AssertionError("deadlock")

    # Shells start background jobs with interrupts ignored, and the tests may be one.
    before = {signal.SIGALRM: too_late, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in before.items()}
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)
    assert workers() == []


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in ("prefetch", "writer")]


def interrupt_soon(delay_s: float) -> None:
    """As Ctrl-C would, in the main thread."""
    main = threading.main_thread().ident
    threading.Timer(delay_s, signal.pthread_kill, (main, signal.SIGINT)).start()


def wait_until(condition) -> None:
    while not condition():
        time.sleep(0.005)


# Reading ahead


@pytest.mark.parametrize("depth", [1, 2, 7, 100])
def test_items_come_in_order(depth):
    assert list(prefetch(range(50), depth=depth)) == list(range(50))
    assert list(prefetch([], depth=depth)) == []


def test_at_most_depth_items_are_ahead():
    made = []

    def numbers():
        for i in range(20):
            made.append(i)
            yield i

    with contextlib.closing(prefetch(numbers(), depth=3)) as items:
        assert made == []  # nothing happens before somebody asks
        for taken in range(1, 6):
            assert next(items) == taken - 1
            wait_until(lambda: len(made) >= taken + 3)  # noqa: B023  called at once
            time.sleep(0.02)
            assert len(made) == taken + 3


def test_reading_and_working_overlap():
    """Each waits for the other to have begun its next: in one thread this could not end."""
    reading = threading.Semaphore(0)

    def items():
        for i in range(5):
            reading.release()
            yield i

    stream = prefetch(items(), depth=1)
    for i in stream:
        assert reading.acquire(timeout=30.0)
        if i < 4:
            assert reading.acquire(timeout=30.0)  # the next one is being read although this one is still in hand
            reading.release()


@pytest.mark.parametrize("error", [ValueError("bad frame"), MemoryError(), SystemExit(3), GeneratorExit()])
def test_errors_pass_through_after_the_items(error):
    def items():
        yield 1
        yield 2
        raise error

    stream, found = prefetch(items(), depth=5), []
    with pytest.raises(type(error)) as caught:
        for item in stream:
            found.append(item)
    assert found == [1, 2] and caught.value is error
    assert list(stream) == []


def test_what_cannot_be_iterated_is_an_error():
    with pytest.raises(TypeError, match="not iterable"):
        next(threads._prefetched(3, 1))


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("end", ["close", "drop"])
def test_stopping_early_stops_the_thread(taken, end):
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    stream = prefetch(items(), depth=2)
    for _ in range(taken):
        next(stream)
    if end == "close":
        stream.close()
        assert list(stream) == []
    del stream
    gc.collect()
    assert workers() == [] and closed == ([True] if taken else [])


def test_stopping_a_chain_stops_all_of_it():
    inner = prefetch(range(1000), depth=2)
    outer = prefetch((2 * item for item in inner), depth=2)
    del inner
    assert [next(outer), next(outer)] == [0, 2]
    assert len(workers()) == 2
    outer.close()
    assert workers() == []


def test_a_reader_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(threads, "_PATIENCE_S", 0.1)
    hanging = threading.Event()

    def items():
        yield 1
        hanging.wait()

    stream = prefetch(items(), depth=2)
    next(stream)
    stream.close()
    hanging.set()
    wait_until(lambda: workers() == [])


def test_an_interrupt_leaves_a_waiting_consumer(monkeypatch):
    monkeypatch.setattr(threads, "_PATIENCE_S", 0.1)
    hanging = threading.Event()
    interrupt_soon(0.2)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch(iter(hanging.wait, None), depth=2))
    hanging.set()
    wait_until(lambda: workers() == [])


INTERRUPTED = """
import os, signal, sys, threading, time
import jax, jax.numpy as jnp
from jaxface.tracking.threads import Writer, prefetch

signal.signal(signal.SIGINT, signal.default_int_handler)
spin = jax.jit(lambda x: jax.lax.fori_loop(0, 15_000_000, lambda i, y: jnp.cos(y), x))

def items():
    while True:
        yield spin(0.5).block_until_ready()

stream = prefetch(items(), depth=2)
with Writer(depth=2) as writer:
    next(stream)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    if sys.argv[1] == "waiting":
        for item in stream:
            writer.submit(spin, item)
    time.sleep(600)
"""


@pytest.mark.parametrize("place", ["waiting", "elsewhere"])
def test_an_interrupt_ends_python_as_usual(place):
    """A thread inside XLA at the end of Python would abort it: a core dump in place of the user's interrupt."""
    command = [sys.executable, "-c", INTERRUPTED, place]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
    assert ended.returncode == -signal.SIGINT and ended.stderr.endswith("KeyboardInterrupt\n"), ended.stderr


@pytest.mark.parametrize("depth", [0, -1])
def test_depth_is_at_least_one(depth):
    with pytest.raises(ValueError, match="at least 1"):
        prefetch([1], depth=depth)
    with pytest.raises(ValueError, match="at least 1"):
        Writer(depth=depth)


# Writing behind


def test_calls_are_made_in_order_and_all_of_them():
    written = []
    with Writer(depth=2) as writer:
        for i in range(50):
            writer.submit(lambda *pair: written.append(pair), i, -i)
    assert written == [(i, -i) for i in range(50)]


def test_submit_waits_for_room():
    gate, submitted = threading.Event(), []

    def open_when_full():
        wait_until(lambda: len(submitted) >= 2)
        time.sleep(0.05)
        assert len(submitted) == 2
        gate.set()

    opener = threading.Thread(target=open_when_full)
    opener.start()
    with Writer(depth=2) as writer:
        for i in range(6):
            writer.submit(gate.wait)
            submitted.append(i)
        assert gate.is_set()
    opener.join()


@pytest.mark.parametrize("depth", [1, 3])
def test_the_first_error_comes_at_the_next_submit(depth):
    written = []

    def write(i):
        if i >= 2:
            raise OSError(f"disk full at {i}")
        written.append(i)

    with pytest.raises(OSError, match="at 2"), Writer(depth=depth) as writer:
        for i in range(1000):
            writer.submit(write, i)
            time.sleep(0.001)
    assert written == [0, 1] and i < 1000 - 1


def test_the_error_of_the_last_call_comes_at_the_end():
    with pytest.raises(ZeroDivisionError), Writer(depth=3) as writer:
        writer.submit(divmod, 1, 0)


def test_an_error_in_the_body_wins_and_leaves_the_rest_out():
    gate, written = threading.Event(), []
    with pytest.raises(KeyError, match="body"), Writer(depth=5) as writer:
        writer.submit(gate.wait)
        for i in range(4):
            writer.submit(written.append, i)
        threading.Timer(0.1, gate.set).start()
        raise KeyError("body")
    assert written == []


def test_a_write_that_hangs_does_not_hold_up_an_interrupt(monkeypatch):
    monkeypatch.setattr(threads, "_PATIENCE_S", 0.1)
    hanging = threading.Event()
    for wait_in_body in (True, False):  # blocked in submit, blocked in the end of the `with`
        with pytest.raises(KeyboardInterrupt), Writer(depth=1) as writer:
            interrupt_soon(0.2)
            writer.submit(hanging.wait)
            if wait_in_body:
                writer.submit(print, "never")
    hanging.set()
    wait_until(lambda: workers() == [])


def test_a_writer_works_inside_its_with_only():
    writer = Writer(depth=1)
    with pytest.raises(RuntimeError, match="with"):
        writer.submit(print)
    with writer:
        pass
    with pytest.raises(RuntimeError, match="with"):
        writer.submit(print)


def test_arrays_are_let_go_once_written():
    """Otherwise a long video keeps one chunk more than it should."""
    array = np.zeros(10)
    references = len(gc.get_referrers(array))
    with Writer(depth=2) as writer:
        writer.submit(np.sum, array)
        wait_until(lambda: writer._calls.empty() and len(gc.get_referrers(array)) == references)


# Who was busy when


def timeline_of(*events: tuple[str, float, float]) -> Timeline:
    timeline = Timeline()
    timeline._events.extend(threads.Event(*event) for event in events)
    return timeline


def test_lanes_are_noted_from_many_threads():
    timeline = Timeline()

    def work(lane):
        for _ in range(100):
            with timeline.lane(lane):
                pass

    threads = [threading.Thread(target=work, args=(f"lane {i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = timeline.events
    assert len(events) == 400 and len({event.lane for event in events}) == 4
    assert all(0.0 <= event.start_s <= event.stop_s for event in events)
    assert list(events) == sorted(events, key=lambda event: event.start_s)


def test_a_lane_that_fails_is_noted_too():
    timeline = Timeline()
    with pytest.raises(ValueError, match="bad"), timeline.lane("decode"):
        time.sleep(0.01)
        raise ValueError("bad")
    (event,) = timeline.events
    assert event.lane == "decode" and event.stop_s - event.start_s >= 0.01


def test_busy_shares():
    timeline = timeline_of(
        ("device", 1.0, 3.0), ("device", 4.0, 5.0), ("read", 1.0, 2.0), ("read", 1.5, 3.0), ("read", 1.6, 1.7),
        ("write", 6.0, 11.0),
    )  # fmt: skip
    assert timeline.busy_share("device") == pytest.approx(0.3)
    assert timeline.busy_share("read") == pytest.approx(0.2)  # what overlaps counts once
    assert timeline.busy_share("write") == pytest.approx(0.5)
    assert timeline.busy_share("nobody") == 0.0
    assert Timeline().busy_share("device") == 0.0
    assert timeline_of(("device", 2.0, 2.0)).busy_share("device") == 0.0


def test_the_picture_shows_who_was_busy(tmp_path):
    """The bars' colours fill the share of the panel that their time says."""
    timeline_of(("read", 0.0, 4.0), ("device", 4.0, 6.0), ("device", 7.0, 8.0)).draw(tmp_path / "timeline.png")
    with Image.open(tmp_path / "timeline.png") as stored:
        picture = np.asarray(stored.convert("RGB"))
    blue, orange = (
        np.argwhere(np.all(np.abs(picture - np.array(colour, float)) < 3.0, axis=-1))
        for colour in ((31, 119, 180), (255, 127, 14))
    )
    assert len(orange) / len(blue) == pytest.approx(3.0 / 4.0, abs=0.02)
    assert blue[:, 0].max() < orange[:, 0].min()  # a row each, the first on top
    assert blue[:, 1].max() <= orange[:, 1].min() + 1
    assert [path.name for path in tmp_path.iterdir()] == ["timeline.png"]


@pytest.mark.parametrize("events", [[], [("device", 2.0, 2.0)]])
def test_a_picture_of_nothing_is_no_error(tmp_path, events):
    timeline_of(*events).draw(tmp_path / "timeline.png")
    with Image.open(tmp_path / "timeline.png") as picture:
        assert picture.width > 100
