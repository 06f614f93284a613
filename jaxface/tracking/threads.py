"""Stages of a stream side by side: reading ahead, writing behind, and a record of who was busy when (host side)."""

import atexit
import contextlib
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from jaxface.io.atomic import new_file

# For a thread to finish what it has in hand when the rest is no longer wanted. Threads that are inside C++ code when
# Python ends would abort the process.
_PATIENCE_S = 5.0


def prefetch(iterable: Iterable, *, depth: int) -> Generator:
    """The same items, made ahead in a thread of its own: at most `depth` wait, or are being made, at any time.

    The thread starts with the first `next`. An error of `iterable` is raised here, after the items before it. Closing
    the iterator (`contextlib.closing`), or dropping it, stops the thread after the item in hand.
    """
    if depth < 1:
        raise ValueError("the depth must be at least 1")
    return _prefetched(iterable, depth)


class _Last(NamedTuple):
    """Ends the items; with the error that ended them, if any."""

    error: BaseException | None


def _prefetched(iterable: Iterable, depth: int) -> Generator:
    items: queue.SimpleQueue = queue.SimpleQueue()
    room, unwanted = threading.Semaphore(depth), threading.Event()
    thread = threading.Thread(target=_produce, args=(iterable, items, room, unwanted), daemon=True, name="prefetch")
    stop = functools.partial(_stop, thread, unwanted, room)
    atexit.register(stop)  # for iterators that nobody closes
    thread.start()
    try:
        while not isinstance(item := items.get(), _Last):
            room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop()
        if not thread.is_alive():
            atexit.unregister(stop)


def _stop(thread: threading.Thread, unwanted: threading.Event, room: threading.Semaphore) -> None:
    unwanted.set()
    room.release()
    if thread is not threading.current_thread():  # the garbage collector may close an iterator from anywhere
        thread.join(_PATIENCE_S)


def _produce(
    iterable: Iterable, items: queue.SimpleQueue, room: threading.Semaphore, unwanted: threading.Event
) -> None:
    try:
        source = iter(iterable)
        while room.acquire() and not unwanted.is_set():
            items.put(next(source))
    except StopIteration:
        items.put(_Last(None))
    except BaseException as error:
        items.put(_Last(error))


class Writer:
    """Calls functions one after the other in a thread of its own, while the caller goes on.

    At most `depth` calls wait, or run, at any time; `submit` blocks until there is room. The first error of a call is
    raised by every `submit` after it and by the end of the `with`; calls after the failed one are left out. If the
    body of the `with` raises, calls that have not begun are left out too.
    """

    def __init__(self, *, depth: int):
        if depth < 1:
            raise ValueError("the depth must be at least 1")
        self._calls: queue.SimpleQueue = queue.SimpleQueue()
        self._room, self._depth = threading.Semaphore(depth), depth
        self._error: BaseException | None = None
        self._unwanted = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="writer")

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._unwanted = kind is not None
        self._calls.put(None)
        try:
            self._thread.join(_PATIENCE_S if self._unwanted else None)
        except BaseException:  # the user's interrupt
            self._unwanted = True
            self._thread.join(_PATIENCE_S)
            raise
        if kind is None:
            self._complain()

    def submit(self, function: Callable, *args: Any) -> None:
        """Has `function(*args)` called in its turn."""
        if not self._thread.is_alive():
            raise RuntimeError("a Writer works inside its `with` only")
        self._room.acquire()
        self._complain()
        self._calls.put((function, args))

    def flush(self) -> None:
        """Waits until all calls so far are made; raises the first error of any."""
        for _ in range(self._depth):  # with all the room in hand, nothing waits or runs
            self._room.acquire()
        self._room.release(self._depth)
        self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while self._do(self._calls.get()):
            self._room.release()

    def _do(self, call: tuple[Callable, tuple] | None) -> bool:
        """Makes one call, unless nobody wants it any more; False after the last."""
        if call is not None and self._error is None and not self._unwanted:
            function, args = call
            try:
                function(*args)
            except BaseException as error:
                self._error = error
        return call is not None


class Event(NamedTuple):
    """A stretch of work in a lane, seconds since the timeline began."""

    lane: str
    start_s: float
    stop_s: float


class Timeline:
    """Who was busy when: threads note their work in named lanes, at once if they like."""

    def __init__(self) -> None:
        self._zero = time.perf_counter()
        self._events: list[Event] = []  # appending is atomic

    @contextlib.contextmanager
    def lane(self, name: str) -> Iterator[None]:
        """Notes that the lane is busy for as long as the `with` lasts."""
        start_s = time.perf_counter() - self._zero
        try:
            yield
        finally:
            self._events.append(Event(name, start_s, time.perf_counter() - self._zero))

    @property
    def events(self) -> tuple[Event, ...]:
        """All finished stretches, by their start."""
        return tuple(sorted(tuple(self._events), key=lambda event: event.start_s))

    def busy_share(self, lane: str) -> float:
        """The share of time in which the lane had work in hand, from the first start to the last stop of any lane."""
        events = self.events
        if not events:
            return 0.0
        busy_s, covered_s = 0.0, events[0].start_s
        for event in events:
            if event.lane == lane and event.stop_s > covered_s:
                busy_s += event.stop_s - max(event.start_s, covered_s)
                covered_s = event.stop_s
        return busy_s / max(max(event.stop_s for event in events) - events[0].start_s, 1e-9)

    def draw(self, path: str | os.PathLike) -> None:
        """Writes a picture, PNG or whatever else the suffix says: a row a lane, with its busy share, over seconds."""
        events = self.events
        lanes = list(dict.fromkeys(event.lane for event in events))
        figure = Figure(figsize=(10.0, 1.2 + 0.5 * len(lanes)), layout="constrained")
        panel = figure.subplots()
        for row, lane in enumerate(lanes):
            bars = [(event.start_s, event.stop_s - event.start_s) for event in events if event.lane == lane]
            panel.broken_barh(bars, (row - 0.4, 0.8), facecolors=f"C{row}")
        panel.set_yticks(range(len(lanes)), [f"{lane} {100 * self.busy_share(lane):.0f} %" for lane in lanes])
        panel.set_xlabel("seconds")
        panel.invert_yaxis()
        with new_file(path) as fresh:
            figure.savefig(fresh)
