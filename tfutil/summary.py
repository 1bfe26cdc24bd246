"""autosummary: averages of named values between two ticks, written as TensorBoard scalars.

Inside a compiled step the values become an output of the step (`collecting`, `Statistics`), which
works on every device, under XLA and with replicas. Elsewhere they are added to the host's
accumulators immediately.
"""
import contextlib
import contextvars
import itertools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from tfutil.context import holding
from tfutil.event_file import SummaryWriter
from tfutil.fusion import fused

T = TypeVar('T')

MAX_DEFERRED = 64  # steps; their statistics are transferred together, which is cheap

# by tag: sum and count of the finite values since the last flush
_accumulators: dict[str, list[float]] = {}
_deferred: list['Statistics'] = []  # statistics of steps that may still be running
# Replicas are traced one after the other, each in its own thread.
_active: contextvars.ContextVar['Collector | None'] = contextvars.ContextVar(
    'collector', default=None)


def autosummary(name: str, value: T) -> T:
    """Accumulate a value under a TensorBoard tag and return it.

    Args:
        name: the tag, e.g. 'Loss/real_scores'.
        value: Python number, array or tensor of any shape; elements that are not finite are
            ignored.
    """
    if not tf.is_tensor(value) and not isinstance(value, tf.Variable):
        _accumulate(name, np.asarray(value, np.float64))
    elif tf.executing_eagerly():
        _accumulate(name, tf.cast(value, tf.float32).numpy())
    elif (collector := _collector_here()) is not None:
        collector.values.setdefault(name, []).append(tf.convert_to_tensor(value))
    else:
        tf.numpy_function(lambda v: _accumulate(name, v), [tf.cast(value, tf.float32)], [])
    return value


def _collector_here() -> 'Collector | None':
    """Return the block's collector if the graph being traced is the collector's, else None."""
    collector = _active.get()
    if collector is None or collector.graph is not tf.compat.v1.get_default_graph():
        return None
    return collector


def _accumulate(name: str, array: np.ndarray) -> None:
    finite = np.asarray(array, np.float64)
    finite = finite[np.isfinite(finite)]
    add(name, finite.sum(), finite.size)


def add(name: str, total: float, count: float) -> None:
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
    """Statistics of a compiled step, returned as an output of its function.

    Attributes:
        tags: names, in order.
        values: float32 [len(tags), 2], sum and count of the finite values of each tag.
    """
    tags: tuple[str, ...]
    values: tf.Tensor


class Collector:
    """Values collected while a step is compiled.

    Attributes:
        values: tensors of values by tag.
        rows: sums and counts by tag, [2] each.
        graph: the graph being compiled. Tensors of nested functions belong to other graphs.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[tf.Tensor]] = {}
        self.rows: dict[str, list[tf.Tensor]] = {}
        self.graph = tf.compat.v1.get_default_graph()

    def statistics(self) -> Statistics:
        """Return everything collected as `Statistics`."""
        tagged = [(tag, value) for tag, values in self.values.items() for value in values]
        sums = fused(lambda *values: list(map(_sum_and_count, values)),
                     *[value for _, value in tagged])
        rows = {tag: list(known) for tag, known in self.rows.items()}
        for (tag, _), row in zip(tagged, sums, strict=True):
            rows.setdefault(tag, []).append(row)
        added = tf.stack([tf.add_n(own) for own in rows.values()]) if rows else tf.zeros([0, 2])
        return Statistics(tuple(rows), added)


def collecting() -> contextlib.AbstractContextManager['Collector']:
    """Collect the autosummaries of the block while a step is compiled.

    Yields:
        A `Collector`, whose `statistics()` must be an output of the step.
    """
    return holding(_active, Collector())


def collect(statistics: Statistics) -> None:
    """Add the `Statistics` of a nested function to those of the function being compiled."""
    collector = _active.get()
    if collector is None:
        raise ValueError('collect needs a block of collecting around it.')
    for tag, row in zip(statistics.tags, tf.unstack(statistics.values, num=len(statistics.tags))):
        collector.rows.setdefault(tag, []).append(row)


def add_deferred(statistics: Statistics) -> None:
    """Accumulate the `Statistics` of a step that may still be running.

    Reading them would wait for the device. They stay there until they are needed
    (`resolve_deferred`) or MAX_DEFERRED steps are pending.
    """
    _deferred.append(statistics)
    if len(_deferred) >= MAX_DEFERRED:
        resolve_deferred()


def resolve_deferred() -> None:
    """Wait for the steps whose statistics are deferred, and accumulate them."""
    while _deferred:
        tags, group = next(itertools.groupby(list(_deferred), lambda statistics: statistics.tags))
        alike = list(group)
        del _deferred[:len(alike)]
        stacked = tf.stack([statistics.values for statistics in alike])
        for values in stacked.numpy().astype(np.float64):
            for tag, (total, count) in zip(tags, values):
                add(tag, total, count)


def finalize_autosummaries() -> None:
    """Do nothing. The original set up its TensorBoard layout here; kept for old scripts."""


def state() -> dict[str, list[float]]:
    """Return the accumulators as plain numbers, for a checkpoint."""
    resolve_deferred()
    return {name: list(entry) for name, entry in _accumulators.items()}


def restore(saved: Mapping[str, Sequence[float]]) -> None:
    """Restore the accumulators from a result of `state`."""
    _deferred.clear()
    _accumulators.clear()
    _accumulators.update({name: list(entry) for name, entry in saved.items()})


def finite_losses_tag(optimizer_id: str) -> str:
    """Tag of the fraction of finite losses of an optimizer.

    Tags that begin with '_' are not written to the event file.
    """
    return f'_finite_losses/{optimizer_id}'


def flush() -> dict[str, float]:
    """Reset the accumulators and return the mean of each tag since the last flush.

    Returns:
        Means by tag; tags without values are left out.
    """
    resolve_deferred()
    means = {name: total / count for name, (total, count) in _accumulators.items() if count}
    _accumulators.clear()
    return means


def save_summaries(writer: SummaryWriter, global_step: int | None = None) -> None:
    """Write the mean of every autosummary since the last call as a TensorBoard scalar.

    Args:
        writer: the event file.
        global_step: images shown so far; None = 0.
    """
    for tag, mean in flush().items():
        if not tag.startswith('_'):
            writer.scalar(tag, mean, global_step or 0)
    writer.flush()
