"""Long-running tasks: directions, projections, nearest images, videos.

A single thread runs them one after the other; the page polls their progress.
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
MOST_KEPT = 24  # finished tasks; older ones are discarded with their results


class Cancelled(Exception):
    """Raised in a task that the page has cancelled."""


class TooMany(Exception):
    """Raised if too many tasks are waiting."""


class Task:
    """A long-running task.

    Attributes:
        number: number of the task, from 1 up.
        state: 'waiting', 'running', 'done', 'failed' or 'cancelled'.
        done, total: progress.
        note: additional values for the page, by name.
        result: return value of its function.
        error: error message for the user, if it failed.
        target: PNG of the picture that is being projected; b'' for other tasks.
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
        """Report progress.

        Args:
            done, total: the progress.
            note: additional values for the page.

        Raises:
            Cancelled: the task was cancelled.
        """
        self.done, self.total = done, total
        self.note.update(note)
        self.check()

    def check(self) -> None:
        """Raise Cancelled if the task was cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Request that the task stops."""
        self._cancelled.set()
        if self.state == 'waiting':
            self.state = 'cancelled'

    def run(self) -> None:
        """Run the task's function and record its result or error."""
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
        except Exception as error:  # The page shows it; the explorer continues.
            self.error = _for_user(error)
            self.state = 'failed'

    def describe(self) -> dict[str, Any]:
        """JSON-compatible description of the task, for the page."""
        return dict(self.note, task=self.number, state=self.state, done=self.done,
                    total=self.total, error=self.error)


def _for_user(error):
    explained = memory_error(error)
    if explained is not None:
        return str(explained)
    if isinstance(error, UserError):
        return str(error)
    traceback.print_exception(error)
    return f'This is a bug in the program. The terminal shows it in full: {in_short(error)}'


class Tasks:
    """Tasks by number, and the thread that runs them."""

    def __init__(self) -> None:
        self._tasks: collections.OrderedDict[int, Task] = collections.OrderedDict()
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name='explorer-tasks', daemon=True)
        self._thread.start()

    def start(self, work: Callable[[Task], Any]) -> Task:
        """Queue a task.

        Args:
            work: function that takes the task and calls its `report` regularly.

        Raises:
            TooMany: MOST_WAITING tasks are waiting or running.
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
        """Return the task with a number; None if it does not exist."""
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
