"""Augmentation of the discriminator's input, for data sets of a few hundred images.

A discriminator that has memorized each real image has nothing left to teach the generator. Here it
never sees the same image twice: reals and fakes are randomly moved, cut and recoloured, both in D's
update and in G's. The augmentation is differentiable, so gradients reach G through it. G must
generate images that look real under any augmentation, and has no reason to imitate the augmentation
itself.

There are two methods:

* 'diffaugment' (Zhao et al. 2020, arXiv:2006.10738): colour, translation and cutout of each image.
* 'ada' (Karras et al. 2020, arXiv:2006.06676): geometry and colour, each with a probability that
  `pgan.training.overfitting` controls. Up to about 0.8, the unchanged image remains the most likely
  outcome, and G can tell which it is.

Strengths are those of the two papers. Sizes are fractions of the image, so they apply at every
resolution. There are two differences from the second paper: images are resampled bilinearly,
without its wavelet filter, and are extended beyond their borders by reflection.
"""
import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from tfutil import lerp, randomness
from tfutil.fusion import fused

Method = Literal['diffaugment', 'ada']

MOST_DRAWS = 3  # maximum random draws per call of an `Augmentation`


class Augmentation:
    """Random augmentation of images, differentiable with respect to them.

    Args:
        method: 'diffaugment' or 'ada'.
        drange: value range of images, black and white.
        probability: function that returns the probability of each transformation of 'ada', a scalar
            tensor in [0, 1]. Called on every augmentation, because it changes during a run.
    """

    def __init__(self, method: Method, drange: Sequence[float] = (-1, 1),
                 probability: Callable[[], tf.Tensor] = lambda: tf.constant(0.0)):
        self._method = method
        self._middle = (drange[0] + drange[1]) / 2
        self._half = (drange[1] - drange[0]) / 2
        self._probability = probability

    def __call__(self, *minibatches: tf.Tensor) -> list[tf.Tensor]:
        """Augment the images of one or more minibatches, each with its own random draws.

        Args:
            minibatches: [N, C, r, r] of any float type; C = 1 or 3.

        Returns:
            The augmented minibatches, float32, of the same shapes.
        """
        sizes = [len_of(images) for images in minibatches]
        images = tf.concat([tf.cast(images, tf.float32) for images in minibatches], axis=0)
        images = (images - self._middle) / self._half
        images = self._diffaugment(images) if self._method == 'diffaugment' else self._ada(images)
        return tf.split(images * self._half + self._middle, sizes)

    def _diffaugment(self, images):
        draws = randomness.uniform([len_of(images), 7])
        # not an argument, so that XLA does not differentiate with respect to it
        return fused(lambda images: diffaugment(images, draws), images)

    def _ada(self, images):
        p = self._probability()
        gates = randomness.uniform([len_of(images), len(_Gates._fields)])
        uniform = randomness.uniform([len_of(images), 8])
        normal = randomness.normal([len_of(images), 7])
        return ada(images, p, gates, uniform, normal)


def len_of(images: tf.Tensor) -> int | tf.Tensor:
    """Number of images, as a Python integer if it is known statically."""
    return images.shape[0] if images.shape[0] is not None else tf.shape(images)[0]


# --------------------------------------------------------------------------------------------------
# DiffAugment.

TRANSLATION = 1 / 8  # of the image's side, maximum
CUTOUT = 1 / 2  # of the image's side


def diffaugment(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Colour, translation and cutout (Zhao et al. 2020, section 3.2).

    Args:
        images: float32 [N, C, r, r] in [-1, 1]. Pixels moved in from outside or cut out become 0.
        draws: uniform numbers in [0, 1), [N, 7].
    """
    brightness, saturation, contrast, *places = tf.unstack(draws, axis=1)
    images = _with_colours(images, *(value[:, None, None, None] for value in (
        brightness - 0.5, saturation * 2.0, contrast + 0.5)))

    size = images.shape[-1]
    pixels = tf.range(size, dtype=tf.int64)
    most = int(size * TRANSLATION + 0.5)
    images = _shifted(images, *(_floored(place, 2 * most + 1) - most for place in places[:2]))
    cut = int(size * CUTOUT + 0.5)
    # first row and column of the square, which may lie partly outside the image
    tops, lefts = (_floored(place, size + 1 - cut % 2) - cut // 2 for place in places[2:])
    is_cut = _square(*((pixels >= first) & (pixels < first + cut) for first in (tops, lefts)))
    return tf.where(is_cut, 0.0, images)


def _with_colours(images, brightness, saturation, contrast):
    """Add the brightness, then scale distances from each pixel's grey, then from the image's mean.

    The three steps are one affine map, which passes over the images fewer times.
    """
    grey = tf.reduce_mean(images, axis=1, keepdims=True)
    mean = tf.reduce_mean(grey, axis=[2, 3], keepdims=True)
    rest = grey * ((1.0 - saturation) * contrast) + mean * (1.0 - contrast) + brightness
    return images * (saturation * contrast) + rest


def _floored(uniform, count):
    """Integers in [0, count), [N, 1], from uniform numbers in [0, 1), [N].

    They are int64: on GPUs, TensorFlow computes with int64 on the device, but with int32 on the
    host.
    """
    return tf.cast(tf.floor(uniform[:, None] * count), tf.int64)


def _square(in_rows, in_columns):
    """Mask [N, 1, r, r] of the pixels that lie in both, [N, r] each."""
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]


def _shifted(images, down, right):
    """Shift each image by whole pixels, int64 [N, 1] each. Pixels from outside are 0.

    Its gradient is the shift back. The gradient of `tf.gather` would be a scatter, which XLA
    executes row by row on GPUs if determinism is on.
    """
    @tf.custom_gradient
    def shifted(images):
        size = images.shape[-1]
        pixels = tf.range(size, dtype=tf.int64)
        rows, columns = pixels - down, pixels - right  # from which each pixel comes
        is_inside = _square(*((source >= 0) & (source < size) for source in (rows, columns)))
        moved = _from_rows(images, tf.clip_by_value(rows, 0, size - 1))
        moved = _transposed(_from_rows(_transposed(moved), tf.clip_by_value(columns, 0, size - 1)))
        return tf.where(is_inside, moved, 0.0), lambda dy: _shifted(dy, -down, -right)
    return shifted(images)


def _from_rows(images, rows):
    """Take the rows of each image by their indices, [N, r]."""
    _, channels, size, _ = images.shape
    # Copying whole rows of whole channels is several times faster than any other gather.
    rows = tf.repeat(rows, channels, axis=0)
    taken = tf.gather(tf.reshape(images, [-1, size, size]), rows, axis=1, batch_dims=1)
    return tf.reshape(taken, [-1, channels, size, size])


def _transposed(images):
    return tf.transpose(images, [0, 1, 3, 2])


# --------------------------------------------------------------------------------------------------
# Adaptive augmentation: its geometric and colour transformations.

class _Gates(NamedTuple):
    """Transformations applied to each image, in order: boolean [N] each."""
    mirror: tf.Tensor
    quarter_turns: tf.Tensor
    whole_pixels: tf.Tensor
    scale: tf.Tensor
    rotation: tf.Tensor
    squeeze: tf.Tensor
    rotation_after: tf.Tensor
    fraction: tf.Tensor
    brightness: tf.Tensor
    contrast: tf.Tensor
    luma_flip: tf.Tensor
    hue: tf.Tensor
    saturation: tf.Tensor


def ada(images: tf.Tensor, p: tf.Tensor, gates: tf.Tensor, uniform: tf.Tensor,
        normal: tf.Tensor) -> tf.Tensor:
    """Geometry, then colour (Karras et al. 2020, Appendix B), each part with probability p.

    Args:
        images: float32 [N, C, r, r] in [-1, 1].
        p: scalar in [0, 1].
        gates: uniform numbers in [0, 1) that select the transformations, [N, 13].
        uniform, normal: draws for their strengths, uniform in [0, 1) [N, 8] and standard normal
            [N, 7].
    """
    channels, size = images.shape[1:3]
    inverse, is_moved, linear, constant, is_changed = fused(
        functools.partial(_drawn_maps, channels, size), p, gates, uniform, normal)

    # the maps are not arguments, so that XLA does not differentiate with respect to them
    def apply(moved, images):
        images = tf.where(is_moved[:, None, None, None], moved, images)  # do not blur the others
        flat = tf.reshape(images, [-1, channels, size * size])
        changed = tf.reshape(tf.matmul(linear, flat) + constant, tf.shape(images))
        return tf.where(is_changed[:, None, None, None], changed, images)
    return fused(apply, resampled(images, inverse), images)


def _drawn_maps(channels, size, p, gates, uniform, normal):
    """Results of `_geometry` and `_colours` for some draws; see `ada`."""
    # If each of the two rotations has this probability, at least one happens with probability p.
    of_rotation = 1.0 - tf.sqrt(1.0 - p)
    limits = [of_rotation if 'rotation' in name else p for name in _Gates._fields]
    done = _Gates(*tf.unstack(gates < tf.stack(limits), axis=1))
    u, n = tf.unstack(uniform, axis=1), tf.unstack(normal, axis=1)
    return [*_geometry(done, u, n, size), *_colours(done, u[6:], n[4:], channels)]


def _geometry(done, u, n, size):
    """Affine maps [N, 2, 3] from result to source coordinates, and which images move at all, [N].

    Coordinates are in pixels from the centre of the image.
    """
    def chosen(gate, value, otherwise):
        return tf.where(gate, value, tf.constant(otherwise, tf.float32))

    mirrored = chosen(done.mirror & (u[0] < 0.5), -1.0, 1.0)
    turns = chosen(done.quarter_turns, tf.floor(u[1] * 4), 0.0)
    shift_x, shift_y = (chosen(done.whole_pixels, tf.round((u[i] - 0.5) * (size / 4)), 0.0)
                        for i in (2, 3))
    scale = chosen(done.scale, tf.exp(n[0] * (0.2 * math.log(2))), 1.0)
    angle, angle_after = (chosen(gate, (value * 2 - 1) * math.pi, 0.0)
                          for gate, value in ((done.rotation, u[4]), (done.rotation_after, u[5])))
    squeeze = chosen(done.squeeze, tf.exp(n[1] * (0.2 * math.log(2))), 1.0)
    moved_x, moved_y = (chosen(done.fraction, n[i] * (size / 8), 0.0) for i in (2, 3))

    # Exact integers as sine and cosine, so that quarter turns do not interpolate between pixels.
    turn = _turn(tf.gather([1.0, 0.0, -1.0, 0.0], tf.cast(turns, tf.int32)),
                 tf.gather([0.0, 1.0, 0.0, -1.0], tf.cast(turns, tf.int32)))
    steps = [_matrix(mirrored, 0, 0, 0, 1, 0), turn, _matrix(1, 0, -shift_x, 0, 1, -shift_y),
             _matrix(1 / scale, 0, 0, 0, 1 / scale, 0), _turn(tf.cos(angle), tf.sin(angle)),
             _matrix(1 / squeeze, 0, 0, 0, squeeze, 0),
             _turn(tf.cos(angle_after), tf.sin(angle_after)),
             _matrix(1, 0, -moved_x, 0, 1, -moved_y)]
    inverse = steps[0]
    for step in steps[1:]:
        inverse = tf.matmul(inverse, step)
    inverse = inverse[:, :2]
    is_moved = tf.reduce_any(inverse != np.eye(2, 3, dtype=np.float32), axis=[1, 2])
    return inverse, is_moved


def _turn(cosine, sine):
    return _matrix(cosine, -sine, 0, sine, cosine, 0)


def _matrix(*entries):
    """Matrices [N, 3, 3] from the six entries of their first two rows, numbers or tensors [N]."""
    count = next(tf.shape(entry) for entry in entries if tf.is_tensor(entry))
    entries = [tf.broadcast_to(tf.cast(entry, tf.float32), count) for entry in (*entries, 0, 0, 1)]
    return tf.reshape(tf.stack(entries, axis=1), [-1, 3, 3])


def resampled(images: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
    """Apply affine maps to images, with bilinear interpolation and reflection at the borders.

    Args:
        images: [N, C, r, r].
        inverse: [N, 2, 3], maps (x, y) in the result to (x, y) in the source, in pixels from the
            centre.
    """
    _, channels, size, _ = images.shape
    corners, to_right, to_bottom = fused(functools.partial(_corners, size), inverse)

    def blend(values):
        values = tf.reshape(values, [-1, 4, size, size, channels])
        a, b, c, d = tf.unstack(tf.transpose(values, [1, 0, 4, 2, 3]))
        return lerp(lerp(a, b, to_right), lerp(c, d, to_right), to_bottom)
    pixels = tf.reshape(tf.transpose(images, [0, 2, 3, 1]), [-1, channels])
    return fused(blend, _taken(pixels, corners))


def _taken(pixels, places):
    """Take pixels [M, C] by their indices.

    Neither this nor its gradient is fused. The gradient adds up pixels that were taken several
    times. If determinism is on, XLA does that for one pixel after the other on GPUs; TensorFlow
    sorts them first.
    """
    @tf.custom_gradient
    def taken(pixels):
        count = len_of(pixels)
        return tf.gather(pixels, places), lambda dy: tf.math.unsorted_segment_sum(dy, places, count)
    return taken(pixels)


def _corners(size, inverse):
    """The four pixels around each place that affine maps [N, 2, 3] lead to.

    Returns:
        Indices into the pixels of all images, [N * 4 * r * r], for each image those of all top left
        pixels, then top right, bottom left, bottom right; and the weights of the right ones and of
        the bottom ones, [N, 1, r, r]. Indices are int64, see `_floored`.
    """
    along = tf.range(size, dtype=tf.float32) - (size - 1) / 2
    x, y = along[None, None, :], along[None, :, None]
    rows = inverse[:, :, :, None, None]
    found = [rows[:, i, 0] * x + rows[:, i, 1] * y + rows[:, i, 2] for i in (0, 1)]
    (left, right, to_right), (top, bottom, to_bottom) = (_neighbours(place, size)
                                                        for place in found)
    # the first pixel of each image
    first = tf.range(len_of(inverse), dtype=tf.int64)[:, None, None] * (size * size)
    top, bottom = top * size + first, bottom * size + first
    corners = tf.stack([top + left, top + right, bottom + left, bottom + right], axis=1)
    return [tf.reshape(corners, [-1]), to_right[:, None], to_bottom[:, None]]


def _neighbours(place, size):
    """Indices of the two pixels around each coordinate, and the weight of the second."""
    place += size / 2
    place -= 2.0 * size * tf.floor(place / (2.0 * size))  # reflection has period 2 * size
    place = tf.clip_by_value(tf.minimum(place, 2.0 * size - place) - 0.5, 0.0, size - 1.0)
    first = tf.floor(place)
    second = tf.minimum(first + 1.0, size - 1.0)
    return tf.cast(first, tf.int64), tf.cast(second, tf.int64), place - first


def _colours(done, u, n, channels):
    """Affine maps of colours: linear part [N, C, C], constant [N, C, 1], and which change any, [N].
    """
    grey = np.full([channels, channels], 1 / channels, np.float32)  # projects onto the grey axis
    identity = np.eye(channels, dtype=np.float32)

    def per_image(gate, value, otherwise):
        return tf.where(gate, value, tf.constant(otherwise, tf.float32))[:, None, None]

    brightness = per_image(done.brightness, n[0] * 0.2, 0.0)
    contrast = per_image(done.contrast, tf.exp(n[1] * (0.5 * math.log(2))), 1.0)
    flipped = per_image(done.luma_flip & (u[0] < 0.5), 2.0, 0.0)
    linear = (identity - flipped * grey) * contrast
    constant = tf.reduce_sum((identity - flipped * grey) * (brightness * contrast), axis=2,
                             keepdims=True)
    if channels == 3:
        hue = per_image(done.hue, (u[1] * 2 - 1) * math.pi, 0.0)
        saturation = per_image(done.saturation, tf.exp(n[2] * math.log(2)), 1.0)
        axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.sqrt(3)
        # Rodrigues' rotation about the grey axis, then scaling of the distance from it
        rotation = grey + (identity - grey) * tf.cos(hue) + axis * tf.sin(hue)
        colour = grey + (identity - grey) * saturation
        linear, constant = (tf.matmul(colour, tf.matmul(rotation, part))
                            for part in (linear, constant))
    is_changed = tf.reduce_any(linear != identity, axis=[1, 2]) | (brightness[:, 0, 0] != 0.0)
    return linear, constant, is_changed
