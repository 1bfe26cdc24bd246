"""Random draws as a function of (seed, step, replica): a resumed run repeats the uninterrupted one, and no two replicas draw alike.
They are the same on every device, with and without XLA.

Inside `keyed(seed, step)` every draw is stateless; outside of it, draws come from TensorFlow's global generator, so that the
functions that draw (losses, random labels, mirroring) can be used on their own as well.
"""
import contextlib
import contextvars
import copy

import numpy as np
import tensorflow as tf

# The key in force. Replicas are traced in threads of their own, in turns, and each sees its own.
_active = contextvars.ContextVar('key', default=None)


# Each device and compiler has a favourite algorithm, unless it is told which to use.
_ALGORITHM = 'philox'


def _fold_in(seed, number):
    return tf.random.experimental.stateless_fold_in(seed, number, alg=_ALGORITHM)


class _Key:
    """A stateless seed and the number of draws made from it so far (a Python number: fixed when a step is compiled)."""

    def __init__(self, seed, step):
        base = tf.stack([tf.cast(seed, tf.int32), 0])
        self.seed = _fold_in(base, tf.cast(step, tf.int32))
        self.draws = 0
        self.replica = None  # None: the one that draws

    def next_seed(self):
        self.draws += 1
        seed = _fold_in(self.seed, self.draws)
        replica = self.replica
        if replica is None:
            context = tf.distribute.get_replica_context()
            replica = context.replica_id_in_sync_group if context else 0
        return _fold_in(seed, replica)


@contextlib.contextmanager
def keyed(seed, step):
    """Make all draws in the block a function of two integers (Python or tensor) and the replica."""
    token = _active.set(_Key(seed, step))
    try:
        yield
    finally:
        _active.reset(token)


@contextlib.contextmanager
def as_replica(index):
    """Draw in the block what replica `index` draws from here on, inside of `keyed`; the draws do not count outside of the block."""
    key = copy.copy(_active.get())
    key.replica = index
    token = _active.set(key)
    try:
        yield
    finally:
        _active.reset(token)


# TensorFlow's uniform and normal numbers are others under XLA than without it; the bits below them are the same everywhere.

def _bits(shape, key):
    return tf.random.stateless_uniform(shape, key.next_seed(), None, None, dtype=tf.int32, alg=_ALGORITHM)


def _unit(bits):
    """Random bits as float32 in [0, 1): the upper 24 of them."""
    return tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8), 0xffffff), tf.float32) * np.float32(2.0 ** -24)


def normal(shape):
    """Standard normal float32 tensor."""
    key = _active.get()
    if key is None:
        return tf.random.normal(shape)
    # Box and Muller 1958: a random point in the plane, by its radius and angle, is two normal numbers.
    count = tf.reduce_prod(tf.convert_to_tensor(shape, tf.int32))
    points = _unit(_bits([2, (count + 1) // 2], key))
    radius, angle = tf.sqrt(-2.0 * tf.math.log(1.0 - points[0])), points[1] * np.float32(2.0 * np.pi)
    return tf.reshape(tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)[:count], shape)


def uniform(shape, minval=0.0, maxval=1.0):
    """Uniform float32 tensor in [minval, maxval)."""
    key = _active.get()
    return minval + (maxval - minval) * _unit(_bits(shape, key)) if key else tf.random.uniform(shape, minval, maxval)


def integers(shape, maxval):
    """Uniform int32 tensor in [0, maxval)."""
    key = _active.get()
    if key is None:
        return tf.random.uniform(shape, 0, maxval, dtype=tf.int32)
    return tf.math.floormod(tf.bitwise.bitwise_and(_bits(shape, key), 0x7fffffff), tf.cast(maxval, tf.int32))
