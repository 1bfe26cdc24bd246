"""The minibatches of a run: the next one is read, checked and copied to its device while the step
before it computes.
"""
import concurrent.futures
import contextlib
import math

import tensorflow as tf

from training.checkpoint import random_state


class Minibatches:
    """Real images and labels, one minibatch after the other, as shares of this process's devices.

    A data set that draws from Python's or NumPy's global random numbers is read when its minibatch
    is due: read ahead, it would draw numbers out of turn, and a resumed run would not repeat them.
    So is a data set whose attribute `reads_ahead` is false.

    Args:
        training_set: a data set of `dataset`. While training it is read by this object alone.
        devices: `tfutil.devices.Devices`.
    """

    def __init__(self, training_set, devices):
        self._training_set, self._devices = training_set, devices
        self._thread = None  # made by the first minibatch that may be read ahead
        self._coming = None  # (what to read, its future), of the minibatch that is being read
        self._used = None  # the data set's state before that minibatch

    def take(self, minibatch, lod):
        """The next minibatch as shares of the devices: images [N, C, r, r], labels [N, label_size].

        Args:
            minibatch: images in all shares of all processes.
            lod: level of detail; images come at the resolution of its floor.
        """
        wanted = minibatch, math.floor(lod)
        if self._coming is not None and self._coming[0] == wanted:
            shares, state = self._coming[1].result()
        else:
            self.rewind()
            shares, state = self._read_first(wanted) if self._thread is None else self._read(wanted)
        self._coming = None
        if self._thread is not None:
            self._used, self._coming = state, (wanted, self._thread.submit(self._read, wanted))
        return shares

    def rewind(self):
        """Forget what has been read ahead: the data set stands where training does."""
        if self._coming is not None:
            with contextlib.suppress(Exception):  # an error in what nobody has asked for
                self._coming[1].result()
            self._coming = None
            self._training_set.restore(self._used)

    def state(self):
        """The data set's state after the minibatch that was taken last, for a checkpoint."""
        return self._training_set.state() if self._coming is None else self._used

    def restore(self, state):
        """Go to where the data set was when `state` was taken."""
        self.rewind()
        self._training_set.restore(state)

    def _read_first(self, wanted):
        """Read, and see whether the minibatches after it may be read ahead."""
        before = random_state()
        result = self._read(wanted)
        if getattr(self._training_set, 'reads_ahead', True) and _equal(before, random_state()):
            self._thread = concurrent.futures.ThreadPoolExecutor(1, 'minibatches')
        return result

    def _read(self, wanted):
        """The next minibatch, and the data set's state after it."""
        self._training_set.configure(*wanted)
        with tf.device('CPU:0'):  # to be split there, and copied once
            tensors = self._training_set.get_minibatch_tf(self._devices.index, self._devices.workers)
        return self._devices.shares(*tensors), self._training_set.state()


def _equal(a, b):
    """Whether two results of `random_state` are the same."""
    return (a['python'] == b['python'] and a['numpy'].keys() == b['numpy'].keys()
            and (a['numpy']['state']['key'] == b['numpy']['state']['key']).all()
            and a['numpy']['state']['pos'] == b['numpy']['state']['pos'])
