"""Work that takes longer than an image: directions, projections, nearest images, videos. One after
the other, in one thread; the page asks how far each has got.
"""
import collections
import itertools
import queue
import threading
import traceback
from collections.abc import Callable
from typing import Any

from pgan.errors import UserError, in_short, memory_error
from pgan.explorer.worker import Abandoned

MOST_WAITING = 8
MOST_KEPT = 24  # finished ones; the oldest go, with their results


class Cancelled(Exception):
    """The page has asked a task to stop."""


class TooMany(Exception):
    """Too many tasks wait."""


class Task:
    """One piece of work.

    Attributes:
        number: from 1 up.
        state: 'waiting', 'running', 'done', 'failed' or 'cancelled'.
        done, total: how far it has got.
        note: what the page shows of it, by name.
        result: what its function returned.
        error: why it failed, for the user.
        target: PNG of the picture that a projection comes close to; b'' of other tasks.
    """

    def __init__(self, number: int, work: Callable[['Task'], Any]):
        self.number = number
        self.state = 'waiting'
        self.done, self.total = 0, 0
        self.note: dict[str, Any] = {}
        self.result: Any = None
        self.error = ''
        self.target = b''
        self._work: Callable[[Task], Any] | None = work
        self._cancelled = threading.Event()

    def report(self, done: int, total: int, **note: Any) -> None:
        """Note how far the work has got.

        Raises:
            Cancelled: it is to stop.
        """
        self.done, self.total = done, total
        self.note.update(note)
        self.check()

    def check(self) -> None:
        """Raise Cancelled if the work is to stop."""
        if self._cancelled.is_set():
            raise Cancelled

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._cancelled.set()
        if self.state == 'waiting':
            self.state = 'cancelled'

    def run(self) -> None:
        """Do the work."""
        work, self._work = self._work, None
        if self._cancelled.is_set() or work is None:
            self.state = 'cancelled'
            return
        self.state = 'running'
        try:
            self.result = work(self)
            self.state = 'done'
        except (Cancelled, Abandoned):
            self.state = 'cancelled'
        except Exception as error:  # told on the page; the explorer goes on
            self.error = _for_user(error)
            self.state = 'failed'

    def describe(self) -> dict[str, Any]:
        """What the page is told: JSON."""
        return dict(self.note, task=self.number, state=self.state, done=self.done,
                    total=self.total, error=self.error)


def _for_user(error):
    explained = memory_error(error)
    if explained is not None:
        return str(explained)
    if isinstance(error, UserError):
        return str(error)
    traceback.print_exception(error)
    return f'That is a mistake in the program, which its terminal shows in full: {in_short(error)}'


class Tasks:
    """Tasks by number, and the thread that does them."""

    def __init__(self) -> None:
        self._tasks: collections.OrderedDict[int, Task] = collections.OrderedDict()
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name='explorer-tasks', daemon=True)
        self._thread.start()

    def start(self, work: Callable[[Task], Any]) -> Task:
        """Queue a piece of work.

        Args:
            work: function of the task, which calls `Task.report` now and then.

        Raises:
            TooMany: MOST_WAITING tasks are not done.
        """
        with self._lock:
            open_ones = [task for task in self._tasks.values()
                         if task.state in ('waiting', 'running')]
            if len(open_ones) >= MOST_WAITING:
                raise TooMany
            task = Task(next(self._numbers), work)
            self._tasks[task.number] = task
            for number in [each.number for each in self._tasks.values()
                           if each not in open_ones and each is not task][:-MOST_KEPT]:
                del self._tasks[number]
        self._queue.put(task)
        return task

    def get(self, number: int) -> Task | None:
        """The task of a number, or None."""
        return self._tasks.get(number)

    def end(self) -> None:
        """Cancel all tasks and end the thread."""
        with self._lock:
            for task in self._tasks.values():
                task.cancel()
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _run(self):
        while (task := self._queue.get()) is not None:
            task.run()
