"""Fused operations: small operations that XLA turns into a few kernels, inside steps that it does not compile as a whole.

On a GPU each small operation is a launch and a pass over memory. What XLA makes of scaled weights, pixel norm or the optimizer's
update is one kernel for several of them. On CPUs launches are cheap, and compiling takes longer than it saves.
"""
import contextlib
import contextvars
import functools

import tensorflow as tf

_fusing = contextvars.ContextVar('fusing', default=False)  # replicas are traced in threads of their own, one after the other


@contextlib.contextmanager
def fusing(enabled=True):
    """Let XLA compile what `fused` marks, in graphs that are traced in the block."""
    token = _fusing.set(enabled)
    try:
        yield
    finally:
        _fusing.reset(token)


def fused(function, *tensors):
    """function(*tensors), compiled by XLA in a block of `fusing`.

    Args:
        function: of tensors of known shapes to a nest of tensors. It may read and assign variables.
    """
    if _fusing.get():
        function = tf.function(function, autograph=False, jit_compile=True)
    return function(*tensors)


@functools.cache
def fusion_works():
    """Whether this machine has a GPU for which XLA can compile: it needs the compiler's own files beside TensorFlow."""
    if not tf.config.get_visible_devices('GPU'):
        return False
    probe = tf.function(lambda x: tf.math.rsqrt(tf.exp(x) + 1.0) * x, jit_compile=True)
    try:
        with tf.device('/GPU:0'):
            probe(tf.ones([8])).numpy()
    except tf.errors.OpError as error:
        print(f'Note: XLA cannot compile for this GPU, so small operations are not fused: {str(error.message).strip().splitlines()[0]}')
        return False
    return True
