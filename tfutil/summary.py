"""autosummary: averages of named values between two ticks, written as TensorBoard scalars.

Inside a compiled step the values are collected as an output of that step (`collecting`,
`Statistics`), which works on every device, under XLA and on replicas alike; anywhere else they are
added to the host's accumulators at once. """
import contextvars
import itertools

import numpy as np
import tensorflow as tf

from tfutil.context import holding
from tfutil.event_file import SummaryWriter
from tfutil.fusion import fused

MOST_UNSETTLED = 64  # steps; one transfer for as many is next to nothing

_accumulators = {}  # tag -> [sum, count] of the finite values since the last flush
_unsettled = []  # `Statistics` of steps that may still be at work
# replicas are traced in threads of their own, in turns
_active = contextvars.ContextVar('collector', default=None)


def autosummary(name: str, value):
    """Accumulate a value under a TensorBoard tag and hand it back.

    Args:
        name: the tag, e.g. 'Loss/real_scores'.
        value: Python number, array or tensor of any shape; its finite elements count, the others
    are ignored. """
    if not tf.is_tensor(value) and not isinstance(value, tf.Variable):
        _accumulate(name, np.asarray(value, np.float64))
    elif tf.executing_eagerly():
        _accumulate(name, tf.cast(value, tf.float32).numpy())
    elif _collects_here():
        _active.get().values.setdefault(name, []).append(tf.convert_to_tensor(value))
    else:
        tf.numpy_function(lambda v: _accumulate(name, v), [tf.cast(value, tf.float32)], [])
    return value


def _collects_here():
    collector = _active.get()
    return collector is not None and collector.graph is tf.compat.v1.get_default_graph()


def _accumulate(name, array):
    finite = np.asarray(array, np.float64)
    finite = finite[np.isfinite(finite)]
    add(name, finite.sum(), finite.size)


def add(name, total, count):
    """Add a sum of values and their number to a tag's accumulator."""
    entry = _accumulators.setdefault(name, [0.0, 0])
    entry[0] += float(total)
    entry[1] += float(count)


def _sum_and_count(value):
    value = tf.cast(value, tf.float32)
    finite = tf.math.is_finite(value)
    total = tf.reduce_sum(tf.where(finite, value, tf.zeros_like(value)))
    return tf.stack([total, tf.reduce_sum(tf.cast(finite, tf.float32))])


class Statistics(tf.experimental.ExtensionType):
    """What a compiled step reports: an output of its function like any other.

    Attributes:
        tags: names, in order.
        values: float32 [len(tags), 2], sum and count of the finite values under each.
    """
    tags: tuple[str, ...]
    values: tf.Tensor


class _Collector:
    """What is collected while a step is compiled.

    Attributes:
        values: tag -> tensors of values.
        rows: tag -> sums and counts, [2] each.
        graph: the one being compiled; a function nested in it has tensors of its own.
    """

    def __init__(self):
        self.values = {}
        self.rows = {}
        self.graph = tf.compat.v1.get_default_graph()

    def statistics(self):
        """All of it as `Statistics`."""
        tagged = [(tag, value) for tag, values in self.values.items() for value in values]
        sums = fused(lambda *values: [_sum_and_count(value) for value in values],
                     *[value for _, value in tagged])
        rows = {tag: list(known) for tag, known in self.rows.items()}
        for (tag, _), row in zip(tagged, sums, strict=True):
            rows.setdefault(tag, []).append(row)
        return Statistics(
            tuple(rows),
            tf.stack([tf.add_n(own) for own in rows.values()]) if rows else tf.zeros([0, 2]))


def collecting():
    """Collect the autosummaries of the block while a step is compiled: yields an object whose
    `statistics()` are the step's output.
    """
    return holding(_active, _Collector())


def collect(statistics):
    """Collect the `Statistics` of a nested function in the function that is being compiled."""
    for tag, row in zip(statistics.tags, tf.unstack(statistics.values, num=len(statistics.tags))):
        _active.get().rows.setdefault(tag, []).append(row)


def add_later(statistics):
    """Accumulate the `Statistics` of a step that may still be at work.

    Reading them would wait for the device, so they stay there until somebody asks (`settle`), or
    until they are many. """
    _unsettled.append(statistics)
    if len(_unsettled) >= MOST_UNSETTLED:
        settle()


def settle():
    """Wait for the steps whose statistics have been added, and accumulate them."""
    while _unsettled:
        tags, alike = next(
            itertools.groupby(list(_unsettled), key=lambda statistics: statistics.tags))
        alike = list(alike)
        del _unsettled[:len(alike)]
        for values in tf.stack([statistics.values
                                for statistics in alike]).numpy().astype(np.float64):
            for tag, (total, count) in zip(tags, values):
                add(tag, total, count)


def finalize_autosummaries():
    """The original laid out its TensorBoard page here; tags are laid out by their names now. Kept
    for its users.
    """


def state():
    """The accumulators as plain numbers, for a checkpoint."""
    settle()
    return {name: list(entry) for name, entry in _accumulators.items()}


def restore(saved):
    """Set the accumulators to what `state` gave."""
    _unsettled.clear()
    _accumulators.clear()
    _accumulators.update({name: list(entry) for name, entry in saved.items()})


def finite_losses(optimizer_id):
    """Tag under which training notes the share of finite losses, for itself: tags that begin with
    '_' are not written.
    """
    return f'_finite_losses/{optimizer_id}'


def flush():
    """Take the mean of each tag since the last flush as {tag: mean}; tags without values are left
    out.
    """
    settle()
    means = {name: total / count for name, (total, count) in _accumulators.items() if count}
    _accumulators.clear()
    return means


def save_summaries(writer: SummaryWriter, global_step: int | None = None) -> None:
    """Write the mean of every autosummary since the last call as a scalar of its tag, and start
    anew.

    Args:
        writer: a `SummaryWriter`.
        global_step: images seen so far.
    """
    for tag, mean in flush().items():
        if not tag.startswith('_'):
            writer.scalar(tag, mean, global_step or 0)
    writer.flush()
