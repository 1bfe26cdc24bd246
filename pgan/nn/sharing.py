"""Sharing among the evaluations of one step: kernels and biases are computed once, minibatches can
be split.
"""
import contextlib
import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfutil.context import holding


class _Evaluation(NamedTuple):
    """State of a block of `evaluating`: kernels and biases so far, and parts per minibatch."""
    made: dict
    parts: int = 1


# each replica is traced in its own thread
_evaluation: contextvars.ContextVar[Any] = contextvars.ContextVar('evaluation', default=None)


def evaluating(parts: int = 1) -> contextlib.AbstractContextManager['_Evaluation']:
    """In the block, compute kernels once per layer and split minibatches where samples are
    independent.

    A discriminator step evaluates D three times. For small images and wide layers, scaling the
    weights each time costs more than the convolutions, so every layer caches its kernel. The block
    must be inside the gradient tape.

    The parts of a minibatch run in parallel. On CPUs, small operations are faster if several run
    side by side on one thread each than one at a time on several threads (benchmarks/LOG.md).

    Args:
        parts: number of parts per minibatch.
    """
    return holding(_evaluation, _Evaluation({}, parts))


def made_once(layer: keras.layers.Layer, name: str, dtype: tf.DType,
              make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Return make(), cast and cached in a block of `evaluating`.

    Args:
        layer, name: the layer and the name of its tensor, e.g. 'kernel'.
        dtype: type to cast to.
        make: function without arguments.
    """
    evaluation, place = _evaluation.get(), _place(layer, name, dtype)
    if evaluation is None:
        return tf.cast(make(), dtype)
    if place not in evaluation.made:
        evaluation.made[place] = tf.cast(make(), dtype)
    return evaluation.made[place]


def keep(layer: keras.layers.Layer, name: str, dtype: tf.DType | str, tensor: tf.Tensor) -> None:
    """Store a tensor for `made_once`, in a block of `evaluating`."""
    _evaluation.get().made[_place(layer, name, dtype)] = tensor


def _place(layer, name, dtype):
    """Cache key. It includes the graph, as nested functions have their own tensors."""
    return layer, name, tf.as_dtype(dtype), tf.compat.v1.get_default_graph()


def by_parts(function: Callable[..., tf.Tensor], *tensors: tf.Tensor) -> tf.Tensor:
    """Return function(*tensors), in the parts of `evaluating` if they divide the minibatch.

    Args:
        function: maps tensors [N, ...] to a tensor [N, ...], each sample independently.
    """
    evaluation, size = _evaluation.get(), tensors[0].shape[0]
    count = 1 if evaluation is None else evaluation.parts
    if count == 1 or not size or size % count:
        return function(*tensors)
    return tf.concat([function(*part) for part in zip(*(tf.split(x, count) for x in tensors))],
                     axis=0)
