"""The minibatches of a run: the next ones are prefetched while a step computes.

To prefetch is to read, check and copy them to their device.
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

# Minibatches. A copy to a GPU waits for the kernels enqueued so far, so one must be there already.
PREFETCHED = 2


class _Request(NamedTuple):
    """Which minibatch: images in all shares of all processes, and floor(lod)."""
    minibatch: int
    floor_lod: int


class _Batch(NamedTuple):
    """A minibatch that was read.

    Attributes:
        shares: its shares, for this process's devices.
        state: the data set's state after it.
    """
    shares: tuple[tf.Tensor, ...]
    state: dict[str, Any]


class _Pending(NamedTuple):
    """A minibatch that is being prefetched; the result is a `_Batch`, `_Drawn` or None."""
    request: _Request
    result: concurrent.futures.Future


class Minibatches:
    """Real images and labels, one minibatch after the other, as shares of this process's devices.

    A data set that draws from Python's or NumPy's global random numbers is read when its minibatch
    is due: prefetched, it would draw numbers out of turn, and a resumed run would not repeat them.
    So is one that cannot be read on another thread, or whose attribute `reads_ahead` is false.

    Whoever draws from them between two minibatches must call `wait` first.

    Args:
        training_set: the data set. While training, only this object reads it.
        devices: the devices of the run.
    """

    def __init__(self, training_set: Dataset, devices: Devices):
        self._training_set = training_set
        self._devices = devices
        self._reader: _Reader | None = None  # made after the first minibatch
        self._prefetches = getattr(training_set, 'reads_ahead', True)
        self._pending: collections.deque[_Pending] = collections.deque()
        self._state_after_taken: dict[str, Any] = {}  # the data set's, once one was taken

    def take(self, minibatch: int, lod: float) -> tuple[tf.Tensor, ...]:
        """The next minibatch as shares of the devices: images [N, C, r, r], labels [N, label_size].

        Args:
            minibatch: images in all shares of all processes.
            lod: level of detail; images come at the resolution of its floor.
        """
        request = _Request(minibatch, math.floor(lod))
        batch = self._take_prefetched(request) or self._read_now(request)
        self._state_after_taken = batch.state
        while self._prefetches and len(self._pending) < PREFETCHED:
            self._reader = self._reader or _Reader(self._read_unless_drawn)
            self._pending.append(_Pending(request, self._reader.submit(request)))
        return batch.shares

    def _take_prefetched(self, request: _Request) -> _Batch | None:
        """The first prefetched minibatch, if it is the one requested and could be read."""
        if not self._pending:
            return None
        if self._pending[0].request == request:
            try:
                batch = self._pending[0].result.result()
            except Exception:  # if it was not for the thread, reading raises it again
                self._prefetches = False
            else:
                if isinstance(batch, _Batch):
                    self._pending.popleft()
                    return batch
                self._prefetches = False
        self.rewind()
        return None

    def _read_now(self, request: _Request) -> _Batch:
        """Read what is due, and see whether what follows may be prefetched."""
        if not self._prefetches:
            return self._read(request)
        before = random_state()
        batch = self._read(request)
        self._prefetches = _equal(before, random_state())
        return batch

    def _read_unless_drawn(self, request: _Request) -> '_Batch | _Drawn':
        """`_read`; `_Drawn` instead if random numbers were drawn meanwhile."""
        before = random_state()
        batch = self._read(request)
        after = random_state()
        return batch if _equal(before, after) else _Drawn(before, after)

    def _read(self, request: _Request) -> _Batch:
        devices, training_set = self._devices, self._training_set
        training_set.configure(request.minibatch, request.floor_lod)
        with tf.device('CPU:0'):  # to be split there, and copied once
            tensors = training_set.get_minibatch_tf(devices.index, devices.workers)
        shares = devices.split_among_replicas(*tensors)
        return _Batch(shares, copy.deepcopy(training_set.state()))

    # ------------------------------------------------------------ what has been prefetched

    def read_when_due(self) -> None:
        """Stop prefetching: whatever runs at the same time may draw random numbers."""
        self._prefetches = False
        self.rewind()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the minibatches that are being prefetched.

        Random numbers that were drawn for them are put back.

        Args:
            seconds: how long to wait; None = without limit.

        Returns:
            Whether they have been read.
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
        """Drop what has been prefetched: the data set returns to where training is."""
        if self._pending:
            self.wait()
            self._pending.clear()
            self._training_set.restore(copy.deepcopy(self._state_after_taken))

    def close(self, seconds: float = 1.0) -> None:
        """`rewind`, unless that would take longer than this: then do not wait for it."""
        if self.wait(seconds):
            self.rewind()

    # ------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """The data set's state after the minibatch that was taken last, for a checkpoint."""
        if self._pending:
            return copy.deepcopy(self._state_after_taken)
        return copy.deepcopy(self._training_set.state())

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where the data set was when `state` was taken."""
        self.rewind()
        self._training_set.restore(state)


class _Drawn:
    """Random numbers were drawn while a minibatch was prefetched.

    The thread that reads must not put them back: another thread may have drawn them meanwhile.

    Attributes:
        before, after: `random_state`s.
    """

    def __init__(self, before: dict[str, Any], after: dict[str, Any]):
        self.before = before
        self.after = after


class _Reader:
    """A thread that calls a function on requests, in order. It never keeps the process alive."""

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
    failed = False  # what follows a minibatch that could not be read would be another one
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
    """Whether two results of `random_state` are the same."""
    numpy_a, numpy_b = a['numpy'], b['numpy']
    return (a['python'] == b['python']
            and (numpy_a['state']['key'] == numpy_b['state']['key']).all()
            and all(numpy_a[name] == numpy_b[name] for name in ('has_gauss', 'gauss'))
            and numpy_a['state']['pos'] == numpy_b['state']['pos'])
