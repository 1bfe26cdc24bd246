"""Custom gradients that can be disabled in a block."""
import contextvars
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# True while networks are exported. Other programs differentiate plain operations themselves, and
# TensorFlow warns about each gradient function that a SavedModel cannot store.
PLAIN_OPERATIONS: contextvars.ContextVar[bool] = contextvars.ContextVar('PLAIN_OPERATIONS',
                                                                        default=False)


def custom_gradient(function: Callable[..., tuple[Any, Callable]]) -> Callable[..., Any]:
    """`tf.custom_gradient`, disabled in blocks where PLAIN_OPERATIONS is true.

    There the gradient is that of the operations in `function`.

    Args:
        function: function of tensors to (result, gradient function).
    """
    differentiable = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return function(*tensors)[0] if PLAIN_OPERATIONS.get() else differentiable(*tensors)
    return call
