"""Minibatches of a run, prefetched while a step computes.

Prefetching reads and checks them, and copies them to their devices.
"""
import collections
import concurrent.futures
import copy
import math
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from dataset import Dataset
from pgan.training.checkpoint import random_state, restore_random_state
from tfutil.devices import Devices

# Number of minibatches. A copy to a GPU waits for the kernels enqueued so far, so another minibatch
# must already be on the device.
PREFETCHED = 2


class _Request(NamedTuple):
    """Description of a minibatch: number of images over all processes, and floor(lod)."""
    minibatch: int
    floor_lod: int


class _Batch(NamedTuple):
    """A minibatch that has been read.

    Attributes:
        shares: its shares for the devices of this process.
        state: state of the data set after it.
    """
    shares: tuple[tf.Tensor, ...]
    state: dict[str, Any]


class _Pending(NamedTuple):
    """A minibatch that is being prefetched; the result is a `_Batch`, `_Drawn` or None."""
    request: _Request
    result: concurrent.futures.Future


class Minibatches:
    """Sequence of minibatches of real images and labels, split into shares for this process's
    devices.

    Some data sets are not prefetched but read when a minibatch is needed: those that draw from
    Python's or NumPy's global random generators, that cannot be read on another thread, or whose
    attribute `reads_ahead` is false. Prefetching would draw random numbers out of order, and a
    resumed run would not repeat them.

    Code that draws from these generators between two minibatches must call `wait` first.

    Args:
        training_set: the data set. During training, only this object reads it.
        devices: the devices of the run.
    """

    def __init__(self, training_set: Dataset, devices: Devices):
        self._training_set = training_set
        self._devices = devices
        self._reader: _Reader | None = None  # created after the first minibatch
        self._prefetches = getattr(training_set, 'reads_ahead', True)
        self._pending: collections.deque[_Pending] = collections.deque()
        # state of the data set after the latest minibatch taken
        self._state_after_taken: dict[str, Any] = {}

    def take(self, minibatch: int, lod: float) -> tuple[tf.Tensor, ...]:
        """Return the next minibatch as shares: images [N, C, r, r], labels [N, label_size].

        Args:
            minibatch: number of images over all processes.
            lod: level of detail; images have the resolution of its floor.
        """
        request = _Request(minibatch, math.floor(lod))
        batch = self._take_prefetched(request) or self._read_now(request)
        self._state_after_taken = batch.state
        while self._prefetches and len(self._pending) < PREFETCHED:
            self._reader = self._reader or _Reader(self._read_unless_drawn)
            self._pending.append(_Pending(request, self._reader.submit(request)))
        return batch.shares

    def _take_prefetched(self, request: _Request) -> _Batch | None:
        """The first prefetched minibatch if it matches the request and could be read; else None."""
        if not self._pending:
            return None
        if self._pending[0].request == request:
            try:
                batch = self._pending[0].result.result()
            except Exception:  # if the thread is not the cause, `_read_now` raises it again
                self._prefetches = False
            else:
                if isinstance(batch, _Batch):
                    self._pending.popleft()
                    return batch
                self._prefetches = False
        self.rewind()
        return None

    def _read_now(self, request: _Request) -> _Batch:
        """Read a minibatch on this thread, and check whether the next ones may be prefetched."""
        if not self._prefetches:
            return self._read(request)
        before = random_state()
        batch = self._read(request)
        self._prefetches = _equal(before, random_state())
        return batch

    def _read_unless_drawn(self, request: _Request) -> '_Batch | _Drawn':
        """Result of `_read`, or `_Drawn` if random numbers were drawn in the meantime."""
        before = random_state()
        batch = self._read(request)
        after = random_state()
        return batch if _equal(before, after) else _Drawn(before, after)

    def _read(self, request: _Request) -> _Batch:
        devices, training_set = self._devices, self._training_set
        training_set.configure(request.minibatch, request.floor_lod)
        with tf.device('CPU:0'):  # split on the host, so that each share is copied once
            tensors = training_set.get_minibatch_tf(devices.index, devices.workers)
        shares = devices.split_among_replicas(*tensors)
        return _Batch(shares, copy.deepcopy(training_set.state()))

    # ------------------------------------------------------------ prefetching

    def read_when_due(self) -> None:
        """Stop prefetching, because code that runs concurrently may draw random numbers."""
        self._prefetches = False
        self.rewind()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the minibatches that are being prefetched.

        If random numbers were drawn for them, the random state is restored.

        Args:
            seconds: timeout; None = no limit.

        Returns:
            Whether all have been read.
        """
        futures = [pending.result for pending in self._pending]
        if concurrent.futures.wait(futures, seconds).not_done:
            return False
        for future in futures:
            drawn = None if future.exception() else future.result()
            if isinstance(drawn, _Drawn) and _equal(random_state(), drawn.after):
                restore_random_state(drawn.before)
        return True

    def rewind(self) -> None:
        """Discard prefetched minibatches and reset the data set to the position of training."""
        if self._pending:
            self.wait()
            self._pending.clear()
            self._training_set.restore(copy.deepcopy(self._state_after_taken))

    def close(self, seconds: float = 1.0) -> None:
        """Call `rewind` if the prefetched minibatches are ready within this time."""
        if self.wait(seconds):
            self.rewind()

    # ------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """State of the data set after the latest minibatch taken, for a checkpoint."""
        if self._pending:
            return copy.deepcopy(self._state_after_taken)
        return copy.deepcopy(self._training_set.state())

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the result of `state`."""
        self.rewind()
        self._training_set.restore(state)


class _Drawn:
    """Result of a prefetch during which random numbers were drawn.

    The reader thread must not restore the random state itself, because another thread may have
    drawn the numbers.

    Attributes:
        before, after: `random_state`s.
    """

    def __init__(self, before: dict[str, Any], after: dict[str, Any]):
        self.before = before
        self.after = after


class _Reader:
    """Daemon thread that calls a function on requests, in order."""

    def __init__(self, function: Callable[[_Request], '_Batch | _Drawn']):
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(self._queue, function), name='minibatches',
                         daemon=True).start()

    def submit(self, request: _Request) -> concurrent.futures.Future:
        """Return a future of function(request)."""
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._queue.put((request, future))
        return future

    def __del__(self):
        self._queue.put(None)


def _serve(submitted, function):
    failed = False  # after a failure, the data set's position is wrong for later requests
    while task := submitted.get():
        request, future = task
        try:
            result = None if failed else function(request)
            failed = failed or isinstance(result, _Drawn)
            future.set_result(result)
        except BaseException as error:
            failed = True
            future.set_exception(error)


def _equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two results of `random_state` are equal."""
    numpy_a, numpy_b = a['numpy'], b['numpy']
    return (a['python'] == b['python']
            and (numpy_a['state']['key'] == numpy_b['state']['key']).all()
            and all(numpy_a[name] == numpy_b[name] for name in ('has_gauss', 'gauss'))
            and numpy_a['state']['pos'] == numpy_b['state']['pos'])
