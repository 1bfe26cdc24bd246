"""Spreading work that holds Python's interpreter lock over worker processes."""
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pgan.errors import UserError

_Item = TypeVar('_Item')
_Result = TypeVar('_Result')

_THREADS = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'VECLIB_MAXIMUM_THREADS')


def in_processes(function: Callable[[_Item], _Result], items: Iterable[_Item], *,
                 num_workers: int,
                 num_ahead: int) -> Generator[tuple[_Item, _Result], None, None]:
    """Yield (item, function(item)) in the order in which they are finished.

    When the caller stops, workers finish what they are at.

    Args:
        function: of a module, or a functools.partial of one, so that it can be pickled; as must be
            items and results.
        items: what to work on.
        num_workers: number of processes.
        num_ahead: how many items are handed out before the first result is taken.

    Raises:
        UserError: a worker was killed.
        Exception: what the function raised.
    """
    # Not forked: this process may have threads. Workers end with their pool, and when this process
    # is killed.
    context = multiprocessing.get_context('spawn')
    stopping = context.Event()
    pool = concurrent.futures.ProcessPoolExecutor(num_workers, context, _start_worker, (stopping,))
    items = iter(items)
    running: dict[concurrent.futures.Future[_Result], _Item] = {}
    with _one_thread_each(), _shut_down(pool, stopping):
        try:
            while True:
                for item in itertools.islice(items, max(num_ahead, num_workers) - len(running)):
                    running[pool.submit(_work, function, item)] = item
                if not running:
                    return
                finished = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished.done:
                    yield running.pop(future), future.result()
        except MemoryError as error:
            raise UserError('there is not enough memory for so many worker processes. Run the '
                            'same command again to go on, with fewer: --num_threads '
                            f'{max(1, num_workers // 2)}.') from error
        except BrokenProcessPool as error:
            raise UserError('a worker process was killed, perhaps by the system for lack of '
                            'memory. Run the same command again to go on, with fewer workers if '
                            f'that was it: --num_threads {max(1, num_workers // 2)}.') from error


@contextlib.contextmanager
def _shut_down(pool, stopping):
    try:
        yield
    finally:
        # for items that are in the workers' queue, which the pool does not take back
        stopping.set()
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each():
    """Let the numerical libraries of processes that are started now use one thread each.

    There is a process for each core already.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, '1'))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_stopping = None  # in a worker: whether nothing new is to be begun


def _start_worker(stopping):
    global _stopping
    _stopping = stopping
    # Ctrl-C reaches all processes of a terminal; the first one decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _work(function, item):
    return None if _stopping.is_set() else function(item)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
