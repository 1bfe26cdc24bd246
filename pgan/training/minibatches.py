"""The minibatches of a run: the next ones are read, checked and copied to their device while the
step before them computes.
"""
import collections
import concurrent.futures
import copy
import math
import queue
import threading

import tensorflow as tf

from pgan.training.checkpoint import random_state, restore_random_state

AHEAD = 2  # A copy to a GPU waits for the kernels enqueued so far, so one minibatch must be there.


class Minibatches:
    """Real images and labels, one minibatch after the other, as shares of this process's devices.

    A data set that draws from Python's or NumPy's global random numbers is read when its minibatch
    is due: read ahead, it would draw numbers out of turn, and a resumed run would not repeat them.
    So is one that cannot be read on another thread, or whose attribute `reads_ahead` is false.

    Whoever draws from them between two minibatches must call `wait` first.

    Args:
        training_set: a data set of `dataset`. While training it is read by this object alone.
        devices: `tfutil.devices.Devices`.
    """

    def __init__(self, training_set, devices):
        self._training_set = training_set
        self._devices = devices
        self._reader = None  # made after the first minibatch
        self._ahead = getattr(training_set, 'reads_ahead', True)
        self._coming = collections.deque()  # (what to read, its future) of minibatches ahead
        self._used = None  # the data set's state after the minibatch that was taken last

    def take(self, minibatch, lod):
        """The next minibatch as shares of the devices: images [N, C, r, r], labels [N, label_size].

        Args:
            minibatch: images in all shares of all processes.
            lod: level of detail; images come at the resolution of its floor.
        """
        wanted = minibatch, math.floor(lod)
        result = self._take_coming(wanted) or self._read_now(wanted)
        shares, self._used = result
        while self._ahead and len(self._coming) < AHEAD:
            self._reader = self._reader or _Reader(self._read_alone)
            self._coming.append((wanted, self._reader.submit(wanted)))
        return shares

    def _take_coming(self, wanted):
        """What has been read ahead, if it is what is wanted and could be read."""
        if not self._coming:
            return None
        if self._coming[0][0] == wanted:
            try:
                result = self._coming[0][1].result()
            except Exception:  # if it was not for the thread, reading raises it again
                self._ahead = False
            else:
                if isinstance(result, tuple):
                    self._coming.popleft()
                    return result
                self._ahead = False
        self.rewind()
        return None

    def _read_now(self, wanted):
        """Read what is due, and see whether what follows may be read ahead."""
        if not self._ahead:
            return self._read(wanted)
        before = random_state()
        result = self._read(wanted)
        self._ahead = _equal(before, random_state())
        return result

    def _read_alone(self, wanted):
        """`_read`; `_Drawn` instead if random numbers were drawn meanwhile."""
        before = random_state()
        result = self._read(wanted)
        after = random_state()
        return result if _equal(before, after) else _Drawn(before, after)

    def _read(self, wanted):
        """The next minibatch, and the data set's state after it."""
        self._training_set.configure(*wanted)
        with tf.device('CPU:0'):  # to be split there, and copied once
            tensors = self._training_set.get_minibatch_tf(self._devices.index,
                                                          self._devices.workers)
        return self._devices.shares(*tensors), copy.deepcopy(self._training_set.state())

    # ------------------------------------------------------------ what has been read ahead

    def read_when_due(self):
        """Read nothing ahead any more: whatever runs at the same time may draw random numbers."""
        self._ahead = False
        self.rewind()

    def wait(self, seconds=None):
        """Wait for the minibatches that are being read. Returns whether they have come.

        Random numbers that were drawn for them are put back.
        """
        futures = [future for _, future in self._coming]
        if concurrent.futures.wait(futures, seconds).not_done:
            return False
        for future in futures:
            drawn = None if future.exception() else future.result()
            if isinstance(drawn, _Drawn) and _equal(random_state(), drawn.after):
                restore_random_state(drawn.before)
        return True

    def rewind(self):
        """Forget what has been read ahead: the data set stands where training does."""
        if self._coming:
            self.wait()
            self._coming.clear()
            self._training_set.restore(copy.deepcopy(self._used))

    def close(self, seconds=1.0):
        """`rewind`, unless reading takes longer than this: then nobody waits for it."""
        if self.wait(seconds):
            self.rewind()

    # ------------------------------------------------------------ state

    def state(self):
        """The data set's state after the minibatch that was taken last, for a checkpoint."""
        return copy.deepcopy(self._used if self._coming else self._training_set.state())

    def restore(self, state):
        """Go to where the data set was when `state` was taken."""
        self.rewind()
        self._training_set.restore(state)


class _Drawn:
    """Random numbers were drawn while a minibatch was read ahead.

    The thread that reads must not put them back: whoever runs meanwhile may have drawn them.

    Attributes:
        before, after: `random_state`s.
    """

    def __init__(self, before, after):
        self.before = before
        self.after = after


class _Reader:
    """A thread that calls a function in order. It never keeps the process from ending."""

    def __init__(self, function):
        self._queue = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(self._queue, function), name='minibatches',
                         daemon=True).start()

    def submit(self, argument):
        """A future of function(argument)."""
        future = concurrent.futures.Future()
        self._queue.put((argument, future))
        return future

    def __del__(self):
        self._queue.put(None)


def _serve(requests, function):
    failed = False  # what follows a minibatch that could not be read would be another one
    while request := requests.get():
        argument, future = request
        try:
            result = None if failed else function(argument)
            failed = failed or isinstance(result, _Drawn)
            future.set_result(result)
        except BaseException as error:
            failed = True
            future.set_exception(error)


def _equal(a, b):
    """Whether two results of `random_state` are the same."""
    numpy_a, numpy_b = a['numpy'], b['numpy']
    return (a['python'] == b['python']
            and (numpy_a['state']['key'] == numpy_b['state']['key']).all()
            and all(numpy_a[name] == numpy_b[name] for name in ('has_gauss', 'gauss'))
            and numpy_a['state']['pos'] == numpy_b['state']['pos'])
