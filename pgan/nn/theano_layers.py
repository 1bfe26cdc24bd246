"""Layers of the Theano version only. All compute in float32.

Layers that behave differently in training have a `call` argument `training`. Keras passes on the
value that the network was called with.
"""
import keras
import numpy as np
import tensorflow as tf

from tfutil import randomness
from tfutil.devices import set_in_replica


class Plain(keras.layers.Layer):
    """Base of layers with float32 variables; a layer is named after its class."""

    def __init__(self, name: str | None = None):
        super().__init__(name=name or type(self).__name__, dtype='float32', autocast=False)


class BatchNorm(Plain):
    """Batch normalization (Ioffe and Szegedy 2015) as in Lasagne.

    gamma * (x - mean) / sqrt(variance + 1e-4) + beta

    In training, mean and variance of a channel are those of the minibatch. Otherwise, running
    averages of the mean and of the reciprocal standard deviation are used. Each evaluation in
    training updates them with a momentum of 0.9.

    Args:
        fmaps: channels of the activations, [N, ..., fmaps].
    """
    EPSILON, ALPHA = 1e-4, 0.1

    def __init__(self, fmaps: int):
        super().__init__()
        self.fmaps = fmaps

    def build(self) -> None:
        self.beta = self.add_weight(name='beta', shape=[self.fmaps], initializer='zeros')
        self.gamma = self.add_weight(name='gamma', shape=[self.fmaps], initializer='ones')
        self.mean = self.add_weight(name='mean', shape=[self.fmaps], initializer='zeros',
                                    trainable=False)
        self.inv_std = self.add_weight(name='inv_std', shape=[self.fmaps], initializer='ones',
                                       trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        wide = tf.cast(x, tf.float32)
        mean, inv_std = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.inv_std)
        if training:
            running = mean, inv_std
            mean, variance = tf.nn.moments(wide, axes=list(range(x.shape.rank - 1)))
            inv_std = tf.math.rsqrt(variance + self.EPSILON)
            for var, old, new in zip((self.mean, self.inv_std), running, (mean, inv_std)):
                set_in_replica(var.value,
                               old * (1 - self.ALPHA) + tf.stop_gradient(new) * self.ALPHA)
        return tf.cast((wide - mean) * (self.gamma * inv_std) + self.beta, x.dtype)


class LayerNorm(Plain):
    """Layer normalization (Ba et al. 2016), with a scalar gain and one bias per channel.

    gain * (x - mean) / sqrt(variance + 1e-4) + bias, with mean and variance of each sample over H,
    W, C.

    Args:
        fmaps: channels of the activations, [N, ..., fmaps].
    """
    EPSILON = 1e-4

    def __init__(self, fmaps: int):
        super().__init__()
        self.fmaps = fmaps

    def build(self) -> None:
        self.gain = self.add_weight(name='gain', shape=[], initializer='ones')
        self.bias = self.add_weight(name='bias', shape=[self.fmaps], initializer='zeros')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        wide = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(wide, axes=list(range(1, x.shape.rank)), keepdims=True)
        return tf.cast(
            (wide - mean) * tf.math.rsqrt(variance + self.EPSILON) * self.gain + self.bias, x.dtype)


class MinibatchDiscrimination(Plain):
    """Minibatch discrimination (Salimans et al. 2016, section 3.2): [N, inputs] to [N, inputs +
    num_kernels].

    The appended features measure how close a sample is to the others of its minibatch. Each kernel
    maps a sample to a point of `dim_per_kernel` components. Its feature is the sum over all other
    samples of exp(-L1 distance of the points), plus a bias.

    Args:
        inputs: features per sample.
        num_kernels: number of kernels.
        dim_per_kernel: components of a point.
    """

    def __init__(self, inputs: int, num_kernels: int, dim_per_kernel: int = 5):
        super().__init__()
        self.inputs = inputs
        self.num_kernels = num_kernels
        self.dim_per_kernel = dim_per_kernel

    def build(self) -> None:
        shape = [self.inputs, self.num_kernels, self.dim_per_kernel]
        self.theta = self.add_weight(name='theta', shape=shape,
                                     initializer=keras.initializers.RandomNormal(0.0, 0.05))
        self.log_weight_scale = self.add_weight(name='log_weight_scale', shape=shape[1:],
                                                initializer='zeros')
        self.bias = self.add_weight(name='bias', shape=[self.num_kernels],
                                    initializer=keras.initializers.Constant(-1.0))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        features = self.closeness(self.distances(tf.cast(x, tf.float32))) + self.bias
        return tf.concat([x, tf.cast(features, x.dtype)], axis=1)

    def distances(self, x: tf.Tensor) -> tf.Tensor:
        """Return the L1 distances of all pairs of points, [N, N, num_kernels]."""
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.theta), axis=0))
        points = tf.einsum('ni,ikd->nkd', x, self.theta * (tf.exp(self.log_weight_scale) / norm))
        return tf.reduce_sum(tf.abs(points[:, None] - points[None]), axis=3)

    @staticmethod
    def closeness(distances: tf.Tensor) -> tf.Tensor:
        """Return the sum of exp(-distance) over all other samples, [N, num_kernels]."""
        others = 1.0 - tf.eye(tf.shape(distances)[0])
        return tf.reduce_sum(tf.exp(-distances) * others[:, :, None], axis=1)

    def initialize_from(self, x: tf.Tensor) -> None:
        """Initialize scales and biases from samples [N, inputs], N >= 2.

        Afterwards the mean distance to the nearest neighbour is 2 and features have mean 0.
        """
        distances = self.distances(tf.cast(x, tf.float32))
        nearest = tf.reduce_min(distances + 1e6 * tf.eye(len(x))[:, :, None], axis=1)
        # identical samples have a distance of zero
        unit = tf.maximum(0.5 * tf.reduce_mean(nearest, axis=0), 1e-6)
        self.log_weight_scale.assign_sub(
            tf.tile(tf.math.log(unit)[:, None], [1, self.dim_per_kernel]))
        self.bias.assign(-tf.reduce_mean(self.closeness(distances / unit), axis=0))


class MultiplicativeNoise(Plain):
    """Multiply every channel of every sample by N(1, strength * sqrt(C)), in training only.

    `follow` adapts the strength to how well the discriminator does. It is 0 at first.
    """
    SMOOTHING = 0.9

    def build(self) -> None:
        self.strength = self.add_weight(name='strength', shape=[], initializer='zeros',
                                        trainable=False)
        self.average = self.add_weight(name='average', shape=[], initializer='zeros',
                                       trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return x
        noise = randomness.normal([tf.shape(x)[0], *[1] * (x.shape.rank - 2), x.shape[-1]])
        return x * tf.cast(1.0 + noise *
                           (self.strength * np.float32(np.sqrt(x.shape[-1]))), x.dtype)

    def follow(self, signal: tf.Tensor, coefficient: float) -> None:
        """Set strength = coefficient * max(a - 0.5, 0)^2.

        a is the running average (decay 0.9) of a scalar signal clipped to [0, 1].
        """
        signal = tf.clip_by_value(tf.stop_gradient(signal), 0.0, 1.0)
        average = signal + (tf.convert_to_tensor(self.average) - signal) * self.SMOOTHING
        set_in_replica(self.average.value, average)
        set_in_replica(self.strength.value, coefficient * tf.square(tf.maximum(average - 0.5, 0.0)))
