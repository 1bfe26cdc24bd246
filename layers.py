"""The layers of the growing networks (paper, sections 2 to 4), on NHWC activations.

Public tensors of this program are NCHW; the networks turn them round once on the way in and once on the way out, because
TensorFlow's CPU kernels and tensor cores want channels last. Every weight and bias is a float32 variable, cast when it is used.
"""
import contextlib
import contextvars

import keras
import numpy as np
import tensorflow as tf

GAIN = np.sqrt(2)  # He et al. 2015, for (leaky) ReLU


# ---------------------------------------------------------------- layers without variables

@tf.custom_gradient
def leaky_relu(x):
    """max(0.2 x, x)."""
    return tf.nn.leaky_relu(x, alpha=0.2), lambda dy: _leaky_relu_grad(dy, x)


@tf.custom_gradient
def _leaky_relu_grad(dy, x):
    """The gradient of `leaky_relu`, whose own gradient with respect to x is nothing.

    TensorFlow's is a tensor of zeros. The gradient penalty's second derivative would carry it back through all of the discriminator, at the
    price of two evaluations.
    """
    return tf.raw_ops.LeakyReluGrad(gradients=dy, features=x, alpha=0.2), lambda ddy: (_leaky_relu_grad(ddy, x), None)


def pixel_norm(x, epsilon=1e-8):
    """Scale each pixel's feature vector to unit mean square (paper, section 4.2). x: [..., C]; also used on latents [N, L]."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + tf.cast(epsilon, x.dtype))


def upscale2d(x, factor=2):
    """Repeat each pixel of [N, H, W, C] factor x factor times (nearest neighbour)."""
    if factor == 1:
        return x
    _, h, w, c = x.shape
    x = tf.tile(tf.reshape(x, [-1, h, 1, w, 1, c]), [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, h * factor, w * factor, c])


def downscale2d(x, factor=2):
    """Average factor x factor boxes of [N, H, W, C]."""
    return x if factor == 1 else tf.nn.avg_pool2d(x, factor, factor, 'VALID')


def minibatch_stddev(x, group_size=4):
    """Append one feature map that tells the discriminator how varied its minibatch is (paper, section 3).

    Args:
        x: activations, float [N, H, W, C].
        group_size: members per group; groups are strided (members stand N / group_size apart).

    Returns:
        [N, H, W, C + 1]; the new map is constant over H, W, C within a group. Computed in float32.

    Raises:
        ValueError: N is not a multiple of min(group_size, N).
    """
    n, (h, w, c) = x.shape[0], x.shape[1:]
    if n is None:
        group = tf.minimum(group_size, tf.shape(x)[0])
    else:
        group = min(group_size, n)
        if n % max(group, 1):
            raise ValueError(f'minibatch {n} cannot be split into the groups of {group} that the minibatch stddev layer compares. '
                             f'Use a multiple of {group}, or set mbstd_group_size to a divisor of {n}.')
    y = tf.reshape(tf.cast(x, tf.float32), [group, -1, h, w, c])
    y = y - tf.reduce_mean(y, axis=0, keepdims=True)
    y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=0) + 1e-8)
    y = tf.cast(tf.reduce_mean(y, axis=[1, 2, 3], keepdims=True), x.dtype)
    return tf.concat([x, tf.tile(y, [group, h, w, 1])], axis=-1)


# ---------------------------------------------------------------- layers with variables

_shared_kernels = contextvars.ContextVar('kernels', default=None)  # replicas are traced in threads of their own, in turns


@contextlib.contextmanager
def shared_kernels():
    """Let every layer make its kernel once in the block, however often it is called.

    A discriminator step evaluates D three times. Scaling and summing its weights anew each time costs more than the convolutions where
    images are small and layers wide. The block must lie inside of the gradient tape.
    """
    token = _shared_kernels.set({})
    try:
        yield
    finally:
        _shared_kernels.reset(token)


class Equalized(keras.layers.Layer):
    """Base of the weighted layers: one weight with an equalized learning rate (paper, section 4.1) and one bias.

    Args:
        inputs, fmaps: number of incoming and outgoing feature maps.
        gain: He gain; the weight's standard deviation at run time is gain / sqrt(fan_in).
        use_wscale: store the weight as N(0, 1) and scale it at run time; else store it with that standard deviation.
        name: the layer's name: its variables are <name>/weight and <name>/bias.
    """

    def __init__(self, inputs, fmaps, gain=GAIN, use_wscale=True, name=None):
        super().__init__(name=name, dtype='float32', autocast=False)
        self.inputs, self.fmaps, self.gain, self.use_wscale = inputs, fmaps, gain, use_wscale

    def weight_shape(self):
        raise NotImplementedError

    def fan_in(self):
        return int(np.prod(self.weight_shape()[:-1]))

    def build(self):
        std = float(self.gain / np.sqrt(self.fan_in()))
        self.scale = np.float32(std if self.use_wscale else 1.0)
        initializer = keras.initializers.RandomNormal(0.0, 1.0 if self.use_wscale else std)
        self.weight = self.add_weight(name='weight', shape=self.weight_shape(), initializer=initializer)
        self.bias = self.add_weight(name='bias', shape=[self.fmaps], initializer='zeros')

    def scaled_kernel(self, dtype):
        """The weight as the multiplication sees it: scaled and cast, made once in a block of `shared_kernels`."""
        made = _shared_kernels.get()
        made = {} if made is None else made
        key = self, dtype, tf.compat.v1.get_default_graph()  # a function nested in the block has tensors of its own
        if key not in made:
            made[key] = tf.cast(self.make_kernel(), dtype)
        return made[key]

    def make_kernel(self):
        return self.weight * self.scale

    def add_bias(self, x):
        return tf.nn.bias_add(x, tf.cast(self.bias, x.dtype))


class Dense(Equalized):
    """Fully connected: [N, inputs] to [N, fmaps]."""

    def weight_shape(self):
        return [self.inputs, self.fmaps]

    def call(self, x):
        return self.add_bias(tf.matmul(x, self.scaled_kernel(x.dtype)))


class DenseToImage(Equalized):
    """Fully connected to a 4x4 image: [N, inputs] to [N, 4, 4, fmaps]. The weight's columns are in C, H, W order; one bias a map."""

    def weight_shape(self):
        return [self.inputs, self.fmaps * 16]

    def call(self, x):
        x = tf.reshape(tf.matmul(x, self.scaled_kernel(x.dtype)), [-1, self.fmaps, 4, 4])
        return self.add_bias(to_nhwc(x))


class Conv2D(Equalized):
    """Convolution, stride 1, SAME: [N, H, W, inputs] to [N, H, W, fmaps]. The weight is [k, k, inputs, fmaps]."""

    def __init__(self, inputs, fmaps, kernel=3, **kwargs):
        super().__init__(inputs, fmaps, **kwargs)
        self.kernel = kernel

    def weight_shape(self):
        return [self.kernel, self.kernel, self.inputs, self.fmaps]

    def call(self, x):
        return self.add_bias(tf.nn.conv2d(x, self.scaled_kernel(x.dtype), 1, 'SAME'))


def four_shifts(weight):
    """Sum of a kernel's four one-pixel shifts: 3x3 becomes the 4x4 kernel that also doubles (or, times 1/4, averages) pixels."""
    rows = tf.pad(weight, [[0, 1], [0, 0], [0, 0], [0, 0]]) + tf.pad(weight, [[1, 0], [0, 0], [0, 0], [0, 0]])
    return tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]]) + tf.pad(rows, [[0, 0], [1, 0], [0, 0], [0, 0]])


class UpConv2D(Conv2D):
    """Nearest-neighbour up-scaling and convolution in one: [N, H, W, inputs] to [N, 2H, 2W, fmaps].

    The weight is [k, k, fmaps, inputs]: the transposed convolution's own order, as old snapshots have it.
    """

    def weight_shape(self):
        return [self.kernel, self.kernel, self.fmaps, self.inputs]

    def fan_in(self):
        return self.kernel * self.kernel * self.inputs

    def make_kernel(self):
        return four_shifts(self.weight * self.scale)

    def call(self, x):
        w = self.scaled_kernel(x.dtype)
        n, h, width = tf.shape(x)[0], x.shape[1], x.shape[2]
        y = tf.nn.conv2d_transpose(x, w, [n, h * 2, width * 2, self.fmaps], 2, 'SAME')
        return self.add_bias(tf.ensure_shape(y, [x.shape[0], h * 2, width * 2, self.fmaps]))


class DownConv2D(Conv2D):
    """Convolution and 2x2 box averaging in one: [N, H, W, inputs] to [N, H/2, W/2, fmaps]."""

    def make_kernel(self):
        return four_shifts(self.weight * (self.scale * np.float32(0.25)))

    def call(self, x):
        return self.add_bias(tf.nn.conv2d(x, self.scaled_kernel(x.dtype), 2, 'SAME'))


# ---------------------------------------------------------------- axis order

def to_nhwc(x):
    """[N, C, H, W] to [N, H, W, C]."""
    return tf.transpose(x, [0, 2, 3, 1])


def to_nchw(x):
    """[N, H, W, C] to [N, C, H, W]."""
    return tf.transpose(x, [0, 3, 1, 2])
