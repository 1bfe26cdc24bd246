"""Small tensor operations used throughout the program."""
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import tensorflow as tf

Values = TypeVar('Values', float, np.ndarray, tf.Tensor)


def lerp(a: Values, b: Values, t: float | tf.Tensor) -> Values:
    """Linear interpolation: a where t is 0, b where t is 1."""
    return a + (b - a) * t


def lerp_clip(a: float | tf.Tensor, b: float | tf.Tensor, t: float | tf.Tensor) -> tf.Tensor:
    """Linear interpolation with t clipped to [0, 1]. Kept from the original; unused here."""
    return a + (b - a) * tf.clip_by_value(t, 0.0, 1.0)


def log2(x: tf.Tensor) -> tf.Tensor:
    """Base-2 logarithm of a float tensor."""
    return tf.math.log(x) * np.float32(1.0 / np.log(2.0))


def exp2(x: tf.Tensor) -> tf.Tensor:
    """2 to the power of a float tensor."""
    return tf.exp(x * np.float32(np.log(2.0)))


def flatten(x: tf.Tensor) -> tf.Tensor:
    """Reshape a tensor to one axis."""
    return tf.reshape(x, [-1])


def is_tf_expression(x: object) -> bool:
    """Whether x is a tensor or variable, and not a NumPy array or Python number.

    Kept from the original; unused here.
    """
    return tf.is_tensor(x) or isinstance(x, tf.Variable)


def shape_to_list(shape: tf.TensorShape | Iterable[int | None]) -> list[int | None]:
    """Convert a TensorShape, or any sequence of sizes, to a list of ints and None."""
    return [None if size is None else int(size) for size in shape]


def box_average(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Average factor x factor boxes of [N, C, H, W]; incomplete boxes at the edges are dropped."""
    c, h, w = x.shape[1:]
    if h % factor or w % factor:
        x = x[:, :, :h - h % factor, :w - w % factor]
    boxes = tf.reshape(x, [-1, c, h // factor, factor, w // factor, factor])
    return tf.reduce_mean(boxes, axis=[3, 5])


def repeat_pixels(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Repeat each pixel of [N, C, H, W] factor x factor times."""
    if factor == 1:
        return x
    c, h, w = x.shape[1:]
    return tf.reshape(tf.tile(x[:, :, :, None, :, None], [1, 1, 1, factor, 1, factor]),
                      [-1, c, h * factor, w * factor])


def fp32(*values: tf.Tensor) -> tf.Tensor | list[tf.Tensor]:
    """Cast tensors to float32, for losses and norms of networks of any dtype.

    Returns:
        One tensor for one value, otherwise a list.
    """
    cast = [tf.cast(value, tf.float32) for value in values]
    return cast[0] if len(cast) == 1 else cast
