"""Processing of real images between data set and discriminator."""
import math
from collections.abc import Sequence

import tensorflow as tf

import misc
from dataset import Dataset
from tfutil import Network, lerp, randomness
from tfutil.ops import box_average, repeat_pixels


def process_reals(x: tf.Tensor, lod: float | tf.Tensor, mirror_augment: bool,
                  drange_data: Sequence[float], drange_net: Sequence[float], *,
                  native: bool = False, dequantize: bool = False) -> tf.Tensor:
    """Cast, rescale, mirror and cross-fade real images.

    While a resolution fades in, the generator outputs a blend of it and the next lower one, so the
    reals are blended in the same way.

    Args:
        x: images [N, C, r, r], any dtype, r = the resolution of floor(lod).
        lod: level of detail, number or scalar tensor; its fraction is the weight of the
            2x2-averaged version.
        mirror_augment: mirror each image with probability 1/2.
        drange_data, drange_net: value ranges [low, high] of x and of the result.
        native: keep resolution r; otherwise repeat pixels up to the full resolution
            r * 2^floor(lod), for which lod must be a number.
        dequantize: add uniform noise in [-0.5, 0.5] to integer values, so that the values become
            continuous.

    Returns:
        Float32 [N, C, R, R], or [N, C, r, r] if native.
    """
    x = tf.cast(x, tf.float32)
    if dequantize:
        x += randomness.uniform(tf.shape(x), -0.5, 0.5)
    x = misc.adjust_dynamic_range(x, drange_data, drange_net)
    if mirror_augment:
        keep = randomness.uniform([tf.shape(x)[0], 1, 1, 1]) < 0.5
        x = tf.where(keep, x, tf.reverse(x, axis=[3]))
    if tf.is_tensor(lod) or lod != math.floor(lod):
        coarse = repeat_pixels(box_average(x), 2)
        lod = tf.cast(lod, tf.float32)
        x = lerp(x, coarse, lod - tf.floor(lod))
    return x if native else repeat_pixels(x, 2 ** int(math.floor(lod)))


def initialize_from_reals(D: Network, training_set: Dataset, lod: float,
                          drange_net: Sequence[float], *, count: int = 500) -> None:
    """Initialize those layers of a discriminator that start from real images, if it has any.

    Args:
        D: the discriminator; see `networks` for the optional methods of its model.
        training_set: the data set, read from its current position.
        lod, drange_net: see `process_reals`.
        count: number of images.
    """
    if getattr(D.model, 'starts_from_reals', False):
        images, _ = training_set.get_minibatch_np(count, lod)
        reals = process_reals(tf.constant(images), lod, False, training_set.dynamic_range,
                              drange_net, native=True)
        if D.stage is None:
            reals = repeat_pixels(reals, D.input_shape[-1] // reals.shape[-1])
        D.model.initialize_from_reals(reals, D.stage)
