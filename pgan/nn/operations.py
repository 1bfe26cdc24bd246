"""Operations without variables of the growing networks (paper, sections 2 to 4), on NHWC
activations.
"""
import tensorflow as tf

from tfutil.fusion import fused
from tfutil.gradients import custom_gradient
from tfutil.runtime import tf32_allowed


def leaky_relu(x: tf.Tensor, slope: float = 0.2) -> tf.Tensor:
    """max(slope * x, x).

    Leaky ReLU is piecewise linear, so its second derivative is zero. Return `None` for it:
    TensorFlow would return a tensor of zeros, and the gradient penalty would back-propagate it
    through the whole discriminator at the cost of two evaluations. The first derivative is computed
    from the result, which has the sign of x, so x need not be kept in memory.
    """
    @custom_gradient
    def activated(x):
        y = tf.nn.leaky_relu(x, alpha=slope)
        return y, lambda dy: differentiated(dy, y)

    @custom_gradient
    def differentiated(dy, y):
        return tf.raw_ops.LeakyReluGrad(gradients=dy, features=y,
                                        alpha=slope), lambda ddy: (differentiated(ddy, y), None)
    return activated(x)


def pixel_norm(x: tf.Tensor, epsilon: float = 1e-8) -> tf.Tensor:
    """Scale each pixel's feature vector to unit mean square (paper, section 4.2).

    x is [..., C]. Also used on latents [N, L].
    """
    @custom_gradient
    def normalized(x):
        fuse = fused if _stays_channels_last(x) else lambda function, *tensors: function(*tensors)
        y, scale = fuse(_normalize, x)
        return y, lambda dy: fuse(_normalize_gradient, dy, y, scale)

    def _normalize(x):
        scale = tf.math.rsqrt(
            tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + tf.cast(epsilon, x.dtype))
        return x * scale, scale
    return normalized(x)


def _normalize_gradient(dy, y, scale):
    """Gradient in closed form: five passes over memory; automatic differentiation takes eight."""
    return (dy - y * tf.reduce_mean(dy * y, axis=-1, keepdims=True)) * scale


def _stays_channels_last(x):
    """Whether TensorFlow keeps convolutions of this precision channels last on a GPU.

    It does if they run on tensor cores. Others it converts to channels first, and would transpose
    every input and output of an XLA-compiled function.
    """
    return x.dtype != tf.float32 or tf32_allowed()


def upscale2d(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Repeat each pixel of [N, H, W, C] factor x factor times (nearest neighbour)."""
    if factor == 1:
        return x
    _, h, w, c = x.shape
    x = tf.tile(tf.reshape(x, [-1, h, 1, w, 1, c]), [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, h * factor, w * factor, c])


def downscale2d(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Average factor x factor boxes of [N, H, W, C]."""
    return x if factor == 1 else tf.nn.avg_pool2d(x, factor, factor, 'VALID')


def minibatch_stddev(x: tf.Tensor, group_size: int = 4, minibatches: int = 1) -> tf.Tensor:
    """Append the minibatch standard deviation as one feature map (paper, section 3).

    It shows the discriminator how varied the samples are.

    Args:
        x: activations of one or several concatenated minibatches of N, float [minibatches * N, H,
            W, C].
        group_size: samples per group. Groups are strided: their samples are N / group_size apart.
        minibatches: number of minibatches; no group spans two of them.

    Returns:
        [minibatches * N, H, W, C + 1]; the new map is constant over H, W, C within a group.
        Computed in float32.

    Raises:
        ValueError: N is not a multiple of min(group_size, N).
    """
    n, (h, w, c) = x.shape[0], x.shape[1:]
    if n is None:
        group = tf.minimum(group_size, tf.shape(x)[0] // minibatches)
    else:
        group = min(group_size, n // minibatches)
        if n // minibatches % max(group, 1):
            raise ValueError(f'minibatch {n // minibatches} cannot be split into the groups of '
                             f'{group} that the minibatch stddev layer compares. Use a multiple '
                             f'of {group}, or set mbstd_group_size to a divisor of '
                             f'{n // minibatches}.')

    def spread(x):
        y = tf.reshape(tf.cast(x, tf.float32), [minibatches, group, -1, h, w, c])
        y = y - tf.reduce_mean(y, axis=1, keepdims=True)
        y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=1, keepdims=True) + 1e-8)
        y = tf.cast(tf.reduce_mean(y, axis=[3, 4, 5], keepdims=True), x.dtype)
        return tf.reshape(tf.tile(y, [1, group, 1, h, w, 1]), [-1, h, w, 1])
    return tf.concat([x, fused(spread, x)], axis=-1)


def to_nhwc(x: tf.Tensor) -> tf.Tensor:
    """[N, C, H, W] to [N, H, W, C]."""
    return tf.transpose(x, [0, 2, 3, 1])


def to_nchw(x: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] to [N, C, H, W]."""
    return tf.transpose(x, [0, 3, 1, 2])
