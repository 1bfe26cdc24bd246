"""The layers of the growing networks (paper, sections 2 to 4), on NHWC activations.

Public tensors of this program are NCHW; the networks turn them round once on the way in and once on the way out, because
TensorFlow's CPU kernels and tensor cores want channels last. Every weight and bias is a float32 variable, cast when it is used.
"""
import contextvars
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfutil import randomness
from tfutil.context import holding
from tfutil.devices import set_in_replica
from tfutil.fusion import fused
from tfutil.network import defined_by_its_class
from tfutil.runtime import tf32_allowed

GAIN = np.sqrt(2)  # He et al. 2015, for (leaky) ReLU


# ---------------------------------------------------------------- layers without variables

def leaky_relu(x, slope=0.2):
    """max(slope * x, x).

    Its second derivative is nothing. TensorFlow's own is a tensor of zeros, which the gradient penalty would carry back through all of the
    discriminator, at the price of two evaluations. The first looks at the sign of the result, which is that of x: x need not be kept.
    """
    @tf.custom_gradient
    def activated(x):
        y = tf.nn.leaky_relu(x, alpha=slope)
        return y, lambda dy: differentiated(dy, y)

    @tf.custom_gradient
    def differentiated(dy, y):
        return tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=slope), lambda ddy: (differentiated(ddy, y), None)
    return activated(x)


def pixel_norm(x, epsilon=1e-8):
    """Scale each pixel's feature vector to unit mean square (paper, section 4.2). x: [..., C]; also used on latents [N, L]."""
    @tf.custom_gradient
    def normalized(x):
        fuse = fused if _stays_channels_last(x) else lambda function, *tensors: function(*tensors)
        y, scale = fuse(_normalize, x)
        return y, lambda dy: fuse(_normalize_gradient, dy, y, scale)

    def _normalize(x):
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + tf.cast(epsilon, x.dtype))
        return x * scale, scale
    return normalized(x)


def _normalize_gradient(dy, y, scale):
    """Derived step by step, it would take eight passes over memory, not five."""
    return (dy - y * tf.reduce_mean(dy * y, axis=-1, keepdims=True)) * scale


def _stays_channels_last(x):
    """Whether TensorFlow leaves convolutions of this precision channels last on a GPU, because its tensor cores want them so.

    Others it turns, and would transpose on the way into everything that XLA has compiled, and out of it again.
    """
    return x.dtype != tf.float32 or tf32_allowed()


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


def minibatch_stddev(x, group_size=4, minibatches=1):
    """Append one feature map that tells the discriminator how varied its minibatch is (paper, section 3).

    Args:
        x: activations of one minibatch of N, or of several one after the other, float [minibatches * N, H, W, C].
        group_size: members per group; groups are strided (members stand N / group_size apart).
        minibatches: number of minibatches; groups are formed in each by itself.

    Returns:
        [minibatches * N, H, W, C + 1]; the new map is constant over H, W, C within a group. Computed in float32.

    Raises:
        ValueError: N is not a multiple of min(group_size, N).
    """
    n, (h, w, c) = x.shape[0], x.shape[1:]
    if n is None:
        group = tf.minimum(group_size, tf.shape(x)[0] // minibatches)
    else:
        group = min(group_size, n // minibatches)
        if n // minibatches % max(group, 1):
            raise ValueError(f'minibatch {n // minibatches} cannot be split into the groups of {group} that the minibatch stddev layer '
                             f'compares. Use a multiple of {group}, or set mbstd_group_size to a divisor of {n // minibatches}.')

    def spread(x):
        y = tf.reshape(tf.cast(x, tf.float32), [minibatches, group, -1, h, w, c])
        y = y - tf.reduce_mean(y, axis=1, keepdims=True)
        y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=1, keepdims=True) + 1e-8)
        y = tf.cast(tf.reduce_mean(y, axis=[3, 4, 5], keepdims=True), x.dtype)
        return tf.reshape(tf.tile(y, [1, group, 1, h, w, 1]), [-1, h, w, 1])
    return tf.concat([x, fused(spread, x)], axis=-1)


# ---------------------------------------------------------------- layers with variables

class _Evaluation(NamedTuple):
    """How networks are evaluated in a block of `evaluating`: kernels and biases made so far, and parts of a minibatch."""
    made: dict
    parts: int = 1


_evaluation = contextvars.ContextVar('evaluation', default=None)  # replicas are traced in threads of their own


def evaluating(parts=1):
    """Let networks share their kernels in the block, and treat a minibatch in parts where each sample stands for itself.

    A discriminator step evaluates D three times. Scaling and summing its weights each time costs more than the convolutions where
    images are small and layers wide. So every layer makes its kernel once, however often it is called. The block must lie inside of
    the gradient tape.

    The parts do not wait for each other. On CPUs, operations of one thread each that run side by side are faster than one operation at
    a time in several threads, as long as they are small (docs/performance.md).

    Args:
        parts: number of parts of a minibatch.
    """
    return holding(_evaluation, _Evaluation({}, parts))


def make_kernels(view):
    """Make the kernels and biases of a network at a stage all at once, in a block of `evaluating`.

    Nothing is made early for a network whose own class does not list its layers.

    Args:
        view: `tfutil.NetworkAtStage`.
    """
    if not defined_by_its_class(view.model, 'layers_at'):
        return
    dtype = view.model.activation_dtype
    layers = [layer for layer in view.model.layers_at(view.chosen_stage) if isinstance(layer, Equalized)]
    weights = [tf.convert_to_tensor(layer.weight) for layer in layers]
    biases = [tf.convert_to_tensor(layer.bias) for layer in layers if layer.norm is None]

    def make(*tensors):
        kernels = [layer.make_kernel(weight) for layer, weight in zip(layers, tensors)]
        return [tf.cast(x, dtype) for x in (*kernels, *tensors[len(layers):])]
    made = fused(make, *weights, *biases)
    names = [(layer, 'kernel') for layer in layers] + [(layer, 'bias') for layer in layers if layer.norm is None]
    _evaluation.get().made.update((_place(*name, dtype), x) for name, x in zip(names, made, strict=True))


def _place(layer, name, dtype):
    """Where a layer's kernel or bias is kept: a function nested in the block has tensors of its own."""
    return layer, name, tf.as_dtype(dtype), tf.compat.v1.get_default_graph()


def by_parts(function, *tensors):
    """function(*tensors), computed in the parts that `evaluating` asks for, where the minibatch can be cut into them.

    Args:
        function: of tensors [N, ...] to a tensor [N, ...], sample by sample.
    """
    evaluation, size = _evaluation.get(), tensors[0].shape[0]
    count = 1 if evaluation is None else evaluation.parts
    if count == 1 or not size or size % count:
        return function(*tensors)
    return tf.concat([function(*part) for part in zip(*(tf.split(x, count) for x in tensors))], axis=0)


class Equalized(keras.layers.Layer):
    """Base of the weighted layers: one weight with an equalized learning rate (paper, section 4.1) and one bias.

    Args:
        inputs, fmaps: number of incoming and outgoing feature maps.
        gain: He gain; the weight's standard deviation at run time is gain / sqrt(fan_in).
        use_wscale: store the weight as N(0, 1) and scale it at run time; else store it with that standard deviation.
        norm: class of a normalization that takes the bias's place, `BatchNorm` or `LayerNorm`; None = a bias.
        name: the layer's name: its variables are <name>/weight and <name>/bias, or <name>/<norm>/... .
    """

    def __init__(self, inputs, fmaps, gain=GAIN, use_wscale=True, norm=None, name=None):
        super().__init__(name=name, dtype='float32', autocast=False)
        self.inputs, self.fmaps, self.gain, self.use_wscale = inputs, fmaps, gain, use_wscale
        self.norm = norm and norm(fmaps)

    def weight_shape(self):
        raise NotImplementedError

    def fan_in(self):
        return int(np.prod(self.weight_shape()[:-1]))

    def build(self):
        std = float(self.gain / np.sqrt(self.fan_in()))
        self.scale = np.float32(std if self.use_wscale else 1.0)
        initializer = keras.initializers.RandomNormal(0.0, 1.0 if self.use_wscale else std)
        self.weight = self.add_weight(name='weight', shape=self.weight_shape(), initializer=initializer)
        if self.norm is None:
            self.bias = self.add_weight(name='bias', shape=[self.fmaps], initializer='zeros')
        else:
            self.norm.build()

    def scaled_kernel(self, dtype):
        """The weight as the multiplication sees it: scaled and cast."""
        return self._made_once('kernel', dtype, lambda: self.make_kernel(self.weight))

    def _made_once(self, name, dtype, make):
        """The result of make(), cast: once in a block of `evaluating`, however often it is asked for."""
        evaluation = _evaluation.get()
        made = {} if evaluation is None else evaluation.made
        place = _place(self, name, dtype)
        if place not in made:
            made[place] = tf.cast(make(), dtype)
        return made[place]

    def make_kernel(self, weight):
        return weight * self.scale

    def add_bias(self, x):
        if self.norm is not None:
            return self.norm(x)
        return tf.nn.bias_add(x, self._made_once('bias', x.dtype, lambda: tf.convert_to_tensor(self.bias)))


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


# Layers that convolve and scale by 2 in one: they compute one pixel in four, and apply a 2x2 box. The original made the box a part of the
# kernel, which is 4x4 then. Here the pixels go through the box and the kernel stays 3x3: 9 multiplications, not 16, at the price of a pass
# over memory (docs/performance.md). The numbers are the same.

def kernels_hold_the_box():
    """Whether layers that scale by 2 use 4x4 kernels.

    3x3 was measured to be faster on CPUs. On GPUs neither has been measured: a roofline model gives 3x3 up to 17 % less time at 32x32 to
    128x128, and 1 to 12 % less at 1024x1024. `python -m benchmarks.gpu` measures both.
    """
    return False


def four_shifts(weight):
    """Sum of a kernel's four one-pixel shifts: 3x3 becomes the 4x4 kernel that also doubles (or, times 1/4, averages) pixels."""
    rows = tf.pad(weight, [[0, 1], [0, 0], [0, 0], [0, 0]]) + tf.pad(weight, [[1, 0], [0, 0], [0, 0], [0, 0]])
    return tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]]) + tf.pad(rows, [[0, 0], [1, 0], [0, 0], [0, 0]])


@tf.custom_gradient
def box_means(x):
    """Means of 2x2 pixels, at each place where they fit: [N, H, W, C] to [N, H - 1, W - 1, C]."""
    return tf.nn.avg_pool2d(x, 2, 1, 'VALID'), framed_box_means


@tf.custom_gradient
def framed_box_means(x):
    """`box_means` with a frame of zeros around the image: [N, H, W, C] to [N, H + 1, W + 1, C]. Each of the two is the other's gradient."""
    n, h, w, c = x.shape
    if n is not None and c % 16 == 0:  # no copy of x in its frame, but slow for other numbers of maps
        y = tf.raw_ops.AvgPoolGrad(orig_input_shape=[n, h + 1, w + 1, c], grad=x, ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding='VALID')
    else:  # the minibatch of a network that is exported is open: gradients' operations are not known everywhere
        y = tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 1, 'VALID')
    return y, box_means


class UpConv2D(Conv2D):
    """Nearest-neighbour up-scaling and convolution in one: [N, H, W, inputs] to [N, 2H, 2W, fmaps].

    The weight is [3, 3, fmaps, inputs]: the transposed convolution's own order, as old snapshots have it.
    """

    def weight_shape(self):
        return [self.kernel, self.kernel, self.fmaps, self.inputs]

    def fan_in(self):
        return self.kernel * self.kernel * self.inputs

    def make_kernel(self, weight):
        return four_shifts(weight * self.scale) if kernels_hold_the_box() else weight * (self.scale * np.float32(4))

    def call(self, x):
        w = self.scaled_kernel(x.dtype)
        if kernels_hold_the_box():
            y = self._spread(x, w, 'SAME', 0)
        else:
            y = box_means(self._spread(x, w, 'VALID', 1))
        return self.add_bias(y)

    def _spread(self, x, w, padding, extra):
        """Transposed convolution of stride 2; the result is `extra` pixels larger than twice the input."""
        h, width = (size * 2 + extra for size in x.shape[1:3])
        minibatch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        y = tf.nn.conv2d_transpose(x, w, [minibatch, h, width, self.fmaps], 2, padding)
        return tf.ensure_shape(y, [x.shape[0], h, width, self.fmaps])


class DownConv2D(Conv2D):
    """Convolution and 2x2 box averaging in one: [N, H, W, inputs] to [N, H/2, W/2, fmaps]. The weight is [3, 3, inputs, fmaps]."""

    def make_kernel(self, weight):
        return four_shifts(weight * (self.scale * np.float32(0.25))) if kernels_hold_the_box() else super().make_kernel(weight)

    def call(self, x):
        w = self.scaled_kernel(x.dtype)
        if kernels_hold_the_box():
            return self.add_bias(tf.nn.conv2d(x, w, 2, 'SAME'))
        return self.add_bias(tf.nn.conv2d(framed_box_means(x), w, 2, 'VALID'))


# ---------------------------------------------------------------- layers that only the Theano version had
#
# Where a layer does something else in training, its `call` has an argument `training`. Keras hands the one that the network was called
# with down to the layers inside. All compute in float32.

class Plain(keras.layers.Layer):
    """Base of layers with float32 variables; named after its class."""

    def __init__(self, name=None):
        super().__init__(name=name or type(self).__name__, dtype='float32', autocast=False)


class BatchNorm(Plain):
    """Batch normalization (Ioffe and Szegedy 2015) as in Lasagne: gamma * (x - mean) / sqrt(variance + 1e-4) + beta.

    Mean and variance of a channel are those of the minibatch in training; else running averages, which keep the reciprocal of the
    standard deviation instead of the variance, and move a tenth of the way at each evaluation in training.

    Args:
        fmaps: channels of the activations, [N, ..., fmaps].
    """
    EPSILON, ALPHA = 1e-4, 0.1

    def __init__(self, fmaps):
        super().__init__()
        self.fmaps = fmaps

    def build(self):
        self.beta = self.add_weight(name='beta', shape=[self.fmaps], initializer='zeros')
        self.gamma = self.add_weight(name='gamma', shape=[self.fmaps], initializer='ones')
        self.mean = self.add_weight(name='mean', shape=[self.fmaps], initializer='zeros', trainable=False)
        self.inv_std = self.add_weight(name='inv_std', shape=[self.fmaps], initializer='ones', trainable=False)

    def call(self, x, training=False):
        wide = tf.cast(x, tf.float32)
        mean, inv_std = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.inv_std)
        if training:
            running = mean, inv_std
            mean, variance = tf.nn.moments(wide, axes=list(range(x.shape.rank - 1)))
            inv_std = tf.math.rsqrt(variance + self.EPSILON)
            for var, old, new in zip((self.mean, self.inv_std), running, (mean, inv_std)):
                set_in_replica(var.value, old * (1 - self.ALPHA) + tf.stop_gradient(new) * self.ALPHA)
        return tf.cast((wide - mean) * (self.gamma * inv_std) + self.beta, x.dtype)


class LayerNorm(Plain):
    """Layer normalization (Ba et al. 2016): gain * (x - mean) / sqrt(variance + 1e-4) of each sample over H, W, C, then a bias a channel.

    Args:
        fmaps: channels of the activations, [N, ..., fmaps]. The gain is one number.
    """
    EPSILON = 1e-4

    def __init__(self, fmaps):
        super().__init__()
        self.fmaps = fmaps

    def build(self):
        self.gain = self.add_weight(name='gain', shape=[], initializer='ones')
        self.bias = self.add_weight(name='bias', shape=[self.fmaps], initializer='zeros')

    def call(self, x):
        wide = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(wide, axes=list(range(1, x.shape.rank)), keepdims=True)
        return tf.cast((wide - mean) * tf.math.rsqrt(variance + self.EPSILON) * self.gain + self.bias, x.dtype)


class MinibatchDiscrimination(Plain):
    """Features that tell how close a sample is to the others of its minibatch (Salimans et al. 2016, section 3.2).

    Kernel k maps a sample to a point of `dim_per_kernel` components; its feature is the sum over all other samples of exp(-L1 distance
    of the points), plus a bias. [N, inputs] to [N, inputs + num_kernels].

    Args:
        inputs: features per sample.
        num_kernels, dim_per_kernel: see above.
    """

    def __init__(self, inputs, num_kernels, dim_per_kernel=5):
        super().__init__()
        self.inputs, self.num_kernels, self.dim_per_kernel = inputs, num_kernels, dim_per_kernel

    def build(self):
        shape = [self.inputs, self.num_kernels, self.dim_per_kernel]
        self.theta = self.add_weight(name='theta', shape=shape, initializer=keras.initializers.RandomNormal(0.0, 0.05))
        self.log_weight_scale = self.add_weight(name='log_weight_scale', shape=shape[1:], initializer='zeros')
        self.bias = self.add_weight(name='bias', shape=[self.num_kernels], initializer=keras.initializers.Constant(-1.0))

    def call(self, x):
        features = self.closeness(self.distances(tf.cast(x, tf.float32))) + self.bias
        return tf.concat([x, tf.cast(features, x.dtype)], axis=1)

    def distances(self, x):
        """L1 distances of all pairs of points, [N, N, num_kernels]."""
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.theta), axis=0))
        points = tf.einsum('ni,ikd->nkd', x, self.theta * (tf.exp(self.log_weight_scale) / norm))
        return tf.reduce_sum(tf.abs(points[:, None] - points[None]), axis=3)

    @staticmethod
    def closeness(distances):
        """Sum over the others of exp(-distance), [N, num_kernels]."""
        others = 1.0 - tf.eye(tf.shape(distances)[0])
        return tf.reduce_sum(tf.exp(-distances) * others[:, :, None], axis=1)

    def initialize_from(self, x):
        """Set scales and biases so that among samples [N, inputs], N >= 2, neighbours are 2 apart on average and features average 0."""
        distances = self.distances(tf.cast(x, tf.float32))
        nearest = tf.reduce_min(distances + 1e6 * tf.eye(len(x))[:, :, None], axis=1)
        unit = tf.maximum(0.5 * tf.reduce_mean(nearest, axis=0), 1e-6)  # samples that are all alike have no distance
        self.log_weight_scale.assign_sub(tf.tile(tf.math.log(unit)[:, None], [1, self.dim_per_kernel]))
        self.bias.assign(-tf.reduce_mean(self.closeness(distances / unit), axis=0))


class MultiplicativeNoise(Plain):
    """Multiply every channel of every sample by N(1, strength * sqrt(C)), in training only.

    The strength follows how well the discriminator is doing (`follow`); it is 0 until somebody says.
    """
    SMOOTHING = 0.9

    def build(self):
        self.strength = self.add_weight(name='strength', shape=[], initializer='zeros', trainable=False)
        self.average = self.add_weight(name='average', shape=[], initializer='zeros', trainable=False)

    def call(self, x, training=False):
        if not training:
            return x
        noise = randomness.normal([tf.shape(x)[0], *[1] * (x.shape.rank - 2), x.shape[-1]])
        return x * tf.cast(1.0 + noise * (self.strength * np.float32(np.sqrt(x.shape[-1]))), x.dtype)

    def follow(self, signal, coefficient):
        """Set strength = coefficient * max(a - 0.5, 0)^2, a = running average (0.9) of a scalar signal clipped to [0, 1]."""
        signal = tf.clip_by_value(tf.stop_gradient(signal), 0.0, 1.0)
        average = signal + (tf.convert_to_tensor(self.average) - signal) * self.SMOOTHING
        set_in_replica(self.average.value, average)
        set_in_replica(self.strength.value, coefficient * tf.square(tf.maximum(average - 0.5, 0.0)))


# ---------------------------------------------------------------- axis order

def to_nhwc(x):
    """[N, C, H, W] to [N, H, W, C]."""
    return tf.transpose(x, [0, 2, 3, 1])


def to_nchw(x):
    """[N, H, W, C] to [N, C, H, W]."""
    return tf.transpose(x, [0, 3, 1, 2])
