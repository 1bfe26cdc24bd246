"""What evaluations of a network in one step share: kernels and biases are made once, minibatches
can be cut into parts.
"""
import contextlib
import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfutil.context import holding


class _Evaluation(NamedTuple):
    """How networks are evaluated in a block of `evaluating`: kernels and biases made so far, and
    parts of a minibatch.
    """
    made: dict
    parts: int = 1


# replicas are traced in threads of their own
_evaluation: contextvars.ContextVar[Any] = contextvars.ContextVar('evaluation', default=None)


def evaluating(parts: int = 1) -> contextlib.AbstractContextManager['_Evaluation']:
    """Let networks share their kernels in the block, and treat a minibatch in parts where each
    sample stands for itself.

    A discriminator step evaluates D three times. Scaling and summing its weights each time costs
    more than the convolutions where images are small and layers wide. So every layer makes its
    kernel once, however often it is called. The block must lie inside of the gradient tape.

    The parts do not wait for each other. On CPUs, operations of one thread each that run side by
    side are faster than one operation at a time in several threads, as long as they are small
    (benchmarks/LOG.md).

    Args:
        parts: number of parts of a minibatch.
    """
    return holding(_evaluation, _Evaluation({}, parts))


def made_once(layer: keras.layers.Layer, name: str, dtype: tf.DType,
              make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """The result of make(), cast: once in a block of `evaluating`, however often it is asked for.

    Args:
        layer, name: whose and which of its tensors it is, e.g. 'kernel'.
        dtype: to cast it to.
        make: function without arguments.
    """
    evaluation, place = _evaluation.get(), _place(layer, name, dtype)
    if evaluation is None:
        return tf.cast(make(), dtype)
    if place not in evaluation.made:
        evaluation.made[place] = tf.cast(make(), dtype)
    return evaluation.made[place]


def keep(layer: keras.layers.Layer, name: str, dtype: tf.DType | str, tensor: tf.Tensor) -> None:
    """Let `made_once` find a tensor that is made already, in a block of `evaluating`."""
    _evaluation.get().made[_place(layer, name, dtype)] = tensor


def _place(layer, name, dtype):
    """Where a tensor is kept: a function nested in the block has tensors of its own."""
    return layer, name, tf.as_dtype(dtype), tf.compat.v1.get_default_graph()


def by_parts(function: Callable[..., tf.Tensor], *tensors: tf.Tensor) -> tf.Tensor:
    """function(*tensors), computed in the parts that `evaluating` asks for, where the minibatch can
    be cut into them.

    Args:
        function: of tensors [N, ...] to a tensor [N, ...], sample by sample.
    """
    evaluation, size = _evaluation.get(), tensors[0].shape[0]
    count = 1 if evaluation is None else evaluation.parts
    if count == 1 or not size or size % count:
        return function(*tensors)
    return tf.concat([function(*part) for part in zip(*(tf.split(x, count) for x in tensors))],
                     axis=0)
