"""Random draws as a function of (seed, step, replica): a resumed run repeats the uninterrupted one, and no two replicas draw alike.

Inside `keyed(seed, step)` every draw is stateless; outside of it, draws come from TensorFlow's global generator, so that the
functions that draw (losses, random labels, mirroring) can be used on their own as well.
"""
import contextlib

import tensorflow as tf

_active = []


class _Key:
    """A stateless seed and the number of draws made from it so far (a Python number: fixed when a step is compiled)."""

    def __init__(self, seed, step):
        base = tf.stack([tf.cast(seed, tf.int32), 0])
        self.seed = tf.random.experimental.stateless_fold_in(base, tf.cast(step, tf.int32))
        self.draws = 0

    def next_seed(self):
        self.draws += 1
        seed = tf.random.experimental.stateless_fold_in(self.seed, self.draws)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        return tf.random.experimental.stateless_fold_in(seed, replica)


@contextlib.contextmanager
def keyed(seed, step):
    """Make all draws in the block a function of two integers (Python or tensor) and the replica."""
    _active.append(_Key(seed, step))
    try:
        yield
    finally:
        _active.pop()


def normal(shape):
    """Standard normal float32 tensor."""
    return tf.random.stateless_normal(shape, _active[-1].next_seed()) if _active else tf.random.normal(shape)


def uniform(shape, minval=0.0, maxval=1.0):
    """Uniform float32 tensor in [minval, maxval)."""
    if _active:
        return tf.random.stateless_uniform(shape, _active[-1].next_seed(), minval, maxval)
    return tf.random.uniform(shape, minval, maxval)


def integers(shape, maxval):
    """Uniform int32 tensor in [0, maxval)."""
    if _active:
        return tf.random.stateless_uniform(shape, _active[-1].next_seed(), 0, maxval, dtype=tf.int32)
    return tf.random.uniform(shape, 0, maxval, dtype=tf.int32)
