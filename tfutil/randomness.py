"""Random draws as a function of (seed, step, replica).

A resumed run therefore repeats the uninterrupted one, and replicas draw different numbers. The bits
are the same on every device, with and without XLA.

Inside `keyed` every draw is stateless. Outside, draws use TensorFlow's global generator, so
functions that draw (losses, random labels, mirroring) also work on their own.

The Philox key of a draw is folded from seed, step, number of the draw and replica. In a graph,
folding takes about forty scalar operations per draw, each a kernel launch on a GPU. A training step
therefore gets its keys as an argument (`keyed_by`), folded on the host by `key_table`.
"""
import contextlib
import contextvars
import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfutil.context import holding
from tfutil.fusion import fused

Shape: TypeAlias = Sequence[int | tf.Tensor] | tf.Tensor

# The current key. Replicas are traced one after the other, each in its own thread.
_active: contextvars.ContextVar['_FoldedKey | _TableKey | None'] = contextvars.ContextVar(
    'key', default=None)

# The default algorithm depends on device and compiler.
_ALGORITHM = tf.random.Algorithm.PHILOX


# ---------------------------------------------------------------- keys folded inside a graph

def _fold_in(seed, number):
    return tf.random.experimental.stateless_fold_in(seed, number, alg=_ALGORITHM)


class _FoldedKey:
    """Keys of one step's draws, folded by TensorFlow operations.

    The number of draws so far is a Python number, so it is fixed when a step is compiled.
    """

    def __init__(self, seed, step):
        base = tf.stack([tf.cast(seed, tf.int32), 0])
        self.seed = _fold_in(base, tf.cast(step, tf.int32))
        self.draws = 0

    def bits(self, shape):
        """The next draw's random bits, int32 of the given shape."""
        self.draws += 1
        seed = _fold_in(_fold_in(self.seed, self.draws), _replica())
        return tf.random.stateless_uniform(shape, seed, None, None, dtype=tf.int32, alg=_ALGORITHM)


def _replica():
    """Return the number of the current replica."""
    context = tf.distribute.get_replica_context()
    return context.replica_id_in_sync_group if context else 0


# ---------------------------------------------------------------- keys folded on the host

class _TableKey:
    """Keys of one step's draws, from a `key_table`. Draws beyond its end repeat the last."""

    def __init__(self, table):
        self.table = table
        self.draws = 0

    def bits(self, shape):
        """The next draw's random bits, int32 of the given shape."""
        row = self.table[_replica(), min(self.draws, self.table.shape[1] - 1)]
        self.draws += 1
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=tf.convert_to_tensor(shape, tf.int32), key=row[:1], counter=row[1:],
            alg=_ALGORITHM.value, dtype=tf.int32)


KEY_BLOCK = 128  # steps whose keys are folded at once, which takes NumPy no longer than one


def key_table(seed: int, step: int, replicas: int, draws: int) -> np.ndarray:
    """Return the Philox keys and counters of a step's first draws, as in `keyed(seed, step)`.

    Args:
        seed, step: integers.
        replicas: number of replicas.
        draws: number of draws on each replica.

    Returns:
        uint64 [replicas, draws, 3]: key, lower half of the counter, upper half.
    """
    block, place = divmod(int(step), KEY_BLOCK)
    return key_block(int(seed), block, int(replicas), int(draws))[place]


@functools.lru_cache(maxsize=16)
def key_block(seed: int, block: int, replicas: int, draws: int) -> np.ndarray:
    """Return the stacked `key_table`s of steps block * KEY_BLOCK to (block + 1) * KEY_BLOCK - 1."""
    steps = np.arange(block * KEY_BLOCK, (block + 1) * KEY_BLOCK)
    step, replica, draw = np.meshgrid(steps, np.arange(replicas), np.arange(1, draws + 1),
                                      indexing='ij')
    pair = np.full_like(step, seed), np.zeros_like(step)
    for number in (step, draw, replica):
        pair = _philox(*_scrambled(*pair))[0].astype(np.int32), number
    key, counter = _scrambled(*pair)
    return np.stack([key, *counter], axis=-1)


def _scrambled(first, second):
    """Return the Philox key and counter that TensorFlow derives from an int32 seed pair."""
    counter = tuple(_as_uint64(part) for part in (first, second))
    key = np.full_like(counter[0], 0x02461E293EC8F720)  # TensorFlow's constant
    mix = _philox(key, counter)
    return mix[0] | mix[1] << _32, (np.zeros_like(key), mix[2] | mix[3] << _32)


def _as_uint64(integers):
    return np.asarray(integers).astype(np.int32).astype(np.int64).view(np.uint64)


_32, _LOW = np.uint64(32), np.uint64(0xffffffff)


def _philox(key, counter):
    """Philox4x32-10 (Salmon et al. 2011). Return the four 32-bit words of a block, each as uint64.

    Args:
        key: uint64 array.
        counter: pair of uint64 arrays, lower and upper half.
    """
    key0, key1 = key & _LOW, key >> _32
    words = [counter[0] & _LOW, counter[0] >> _32, counter[1] & _LOW, counter[1] >> _32]
    for _ in range(10):
        low, high = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [high >> _32 ^ words[1] ^ key0, high & _LOW,
                 low >> _32 ^ words[3] ^ key1, low & _LOW]
        key0, key1 = key0 + np.uint64(0x9E3779B9) & _LOW, key1 + np.uint64(0xBB67AE85) & _LOW
    return words


# ---------------------------------------------------------------- choosing the key

def keyed(seed: int | tf.Tensor,
          step: int | tf.Tensor) -> contextlib.AbstractContextManager['_FoldedKey']:
    """Make all draws in the block a function of two integers (Python or tensor) and the replica."""
    return holding(_active, _FoldedKey(seed, step))


def keyed_by(table: tf.Tensor) -> contextlib.AbstractContextManager['_TableKey']:
    """Take the keys of all draws in the block from a tensor, a `key_table`.

    Yields:
        An object whose `draws` is the number of draws made in the block. If that exceeds the
        table's, draws repeat.
    """
    return holding(_active, _TableKey(table))


# ---------------------------------------------------------------- draws
#
# TensorFlow's uniform and normal numbers differ under XLA, but the bits are the same everywhere.

def _unit(bits):
    """Convert random bits to float32 in [0, 1), using the upper 24 bits."""
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8), 0xffffff)
    return tf.cast(bits, tf.float32) * np.float32(2.0 ** -24)


def normal(shape: Shape) -> tf.Tensor:
    """Return a standard normal float32 tensor."""
    key = _active.get()
    if key is None:
        return tf.random.normal(shape)
    # Box and Muller 1958: radius and angle of a random point give two normal numbers.
    known = tf.get_static_value(tf.convert_to_tensor(shape, tf.int32))
    count = tf.reduce_prod(shape) if known is None else int(np.prod(known))
    pairs = fused(_normal_pairs, key.bits([2, (count + 1) // 2]))
    return tf.reshape(pairs[:count], shape)


def _normal_pairs(bits):
    points = _unit(bits)
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - points[0]))
    angle = points[1] * np.float32(2.0 * np.pi)
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)


def uniform(shape: Shape, minval: float = 0.0, maxval: float = 1.0) -> tf.Tensor:
    """Return a uniform float32 tensor in [minval, maxval)."""
    key = _active.get()
    if key is None:
        return tf.random.uniform(shape, minval, maxval)
    return fused(lambda bits: minval + (maxval - minval) * _unit(bits), key.bits(shape))


def integers(shape: Shape, maxval: int | tf.Tensor) -> tf.Tensor:
    """Return a uniform int32 tensor in [0, maxval)."""
    key = _active.get()
    if key is None:
        return tf.random.uniform(shape, 0, maxval, dtype=tf.int32)
    # int64, because TensorFlow computes with int32 on the host, even for GPUs
    bits = tf.cast(tf.bitwise.bitwise_and(key.bits(shape), 0x7fffffff), tf.int64)
    return tf.cast(tf.math.floormod(bits, tf.cast(maxval, tf.int64)), tf.int32)
