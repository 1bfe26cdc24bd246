"""Gradients of a layer's own, which a block can do without."""
import contextvars
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# True while networks are exported: another program differentiates plain operations by itself, and
# TensorFlow warns of each gradient function that a SavedModel cannot hold.
PLAIN_OPERATIONS: contextvars.ContextVar[bool] = contextvars.ContextVar('PLAIN_OPERATIONS',
                                                                        default=False)


def custom_gradient(function: Callable[..., tuple[Any, Callable]]) -> Callable[..., Any]:
    """`tf.custom_gradient`, but for blocks that hold PLAIN_OPERATIONS: there the gradient is that
    of the operations in `function`.

    Args:
        function: takes tensors; returns (result, gradient function).
    """
    differentiable = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return function(*tensors)[0] if PLAIN_OPERATIONS.get() else differentiable(*tensors)
    return call
