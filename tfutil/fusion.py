"""Operator fusion: XLA compiles groups of small operations in steps that it does not compile whole.

On a GPU each small operation costs a kernel launch and a pass over memory. For scaled weights,
pixel norm and the optimizer's update, XLA fuses several operations into one kernel. On CPUs,
launches are cheap, and compiling takes longer than it saves.
"""
import contextlib
import contextvars
import functools
from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

from pgan.errors import in_short
from tfutil.context import holding

T = TypeVar('T')

# Replicas are traced one after the other, each in its own thread.
_fusing: contextvars.ContextVar[bool] = contextvars.ContextVar('fusing', default=False)


def fusing(enabled: bool = True) -> contextlib.AbstractContextManager[bool]:
    """Let XLA compile the functions marked by `fused`, in graphs traced in the block."""
    return holding(_fusing, enabled)


def fused(function: Callable[..., T], *tensors: tf.Tensor) -> T:
    """Return function(*tensors), compiled by XLA inside a block of `fusing`.

    Its gradients of any order are compiled, too.

    Args:
        function: function of tensors to a tensor or a list of tensors. It must have no side effects
            if it is differentiated.
        tensors: its arguments.
    """
    if not _fusing.get():
        return function(*tensors)
    if not any(tensor.dtype.is_floating for tensor in tensors):
        return _compiled(function)(*tensors)

    @tf.custom_gradient
    def call(*tensors):
        def gradient(*upstream):
            products = functools.partial(_vector_jacobian_products, function, len(tensors))
            return fused(products, *tensors, *upstream)
        return _compiled(function)(*tensors), gradient
    return call(*tensors)


def _compiled(function: Callable[..., T]) -> Callable[..., T]:
    def whole(*tensors):
        with fusing(False):
            return function(*tensors)
    return tf.function(whole, autograph=False, jit_compile=True)


def _vector_jacobian_products(function, count, *tensors):
    """Return the vector-Jacobian products of a function.

    The function is evaluated again. TensorFlow's own gradient would reuse intermediate results of
    the first evaluation, shapes among them, and XLA accepts only constant shapes.

    Args:
        function: the function.
        count: number of its inputs.
        tensors: the inputs, then the upstream gradients.
    """
    inputs, upstream = tensors[:count], tensors[count:]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(function(*inputs))
    return tape.gradient(outputs, inputs, upstream, unconnected_gradients='zero')


@functools.cache
def fusion_works() -> bool:
    """Whether XLA can compile for this machine's GPU, which needs CUDA's compiler files."""
    if not tf.config.get_visible_devices('GPU'):
        return False
    probe = tf.function(lambda x: tf.math.rsqrt(tf.exp(x) + 1.0) * x, jit_compile=True)
    try:
        with tf.device('/GPU:0'):
            probe(tf.ones([8])).numpy()
    except tf.errors.OpError as error:
        reason = in_short(str(error.message).strip())
        print(f'Note: XLA cannot compile for this GPU, so small operations are not fused: {reason}')
        return False
    return True
