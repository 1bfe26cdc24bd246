"""Worker processes, for work that holds Python's GIL."""
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
    """Yield (item, function(item)) in the order of completion.

    When the caller stops, workers finish their current items.

    Args:
        function: a module-level function or a functools.partial of one, so that it can be pickled.
            Items and results must be picklable as well.
        items: arguments of the calls.
        num_workers: number of processes.
        num_ahead: number of items that are queued or running at a time.

    Raises:
        UserError: a worker was killed, or ran out of memory.
        Exception: any error that the function raises.
    """
    # Spawn, because this process may have threads. Workers end with the pool, and when this process
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
            raise UserError('there is not enough memory for this number of worker processes. Run '
                            'the same command again to continue, with fewer: --num_threads '
                            f'{max(1, num_workers // 2)}.') from error
        except BrokenProcessPool as error:
            raise UserError('a worker process was killed, perhaps by the system for lack of '
                            'memory. Run the same command again to continue, with fewer workers if '
                            f'memory is short: --num_threads {max(1, num_workers // 2)}.'
                            ) from error


@contextlib.contextmanager
def _shut_down(pool, stopping):
    try:
        yield
    finally:
        # For items in the workers' queue, which the pool cannot cancel.
        stopping.set()
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each():
    """Limit the numerical libraries of processes started in the block to one thread each.

    There is already one process per core.
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


_stopping = None  # in a worker: event that is set when no new items should be started


def _start_worker(stopping):
    global _stopping
    _stopping = stopping
    # Ctrl-C reaches all processes of the terminal; the main process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _work(function, item):
    return None if _stopping.is_set() else function(item)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
