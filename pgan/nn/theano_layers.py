"""Layers that only the Theano version had. All compute in float32.

Where a layer does something else in training, its `call` has an argument `training`. Keras hands
the one that the network was called with down to the layers inside.
"""
import keras
import numpy as np
import tensorflow as tf

from tfutil import randomness
from tfutil.devices import set_in_replica


class Plain(keras.layers.Layer):
    """Base of layers with float32 variables; named after its class."""

    def __init__(self, name: str | None = None):
        super().__init__(name=name or type(self).__name__, dtype='float32', autocast=False)


class BatchNorm(Plain):
    """Batch normalization (Ioffe and Szegedy 2015) as in Lasagne: gamma * (x - mean) /
    sqrt(variance + 1e-4) + beta.

    Mean and variance of a channel are those of the minibatch in training; else running averages,
    which keep the reciprocal of the standard deviation instead of the variance, and move a tenth of
    the way at each evaluation in training.

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
    """Layer normalization (Ba et al. 2016): gain * (x - mean) / sqrt(variance + 1e-4) of each
    sample over H, W, C, then a bias a channel.

    Args:
        fmaps: channels of the activations, [N, ..., fmaps]. The gain is one number.
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
    """Features that tell how close a sample is to the others of its minibatch (Salimans et al.
    2016, section 3.2).

    Kernel k maps a sample to a point of `dim_per_kernel` components; its feature is the sum over
    all other samples of exp(-L1 distance of the points), plus a bias. [N, inputs] to [N, inputs +
    num_kernels].

    Args:
        inputs: features per sample.
        num_kernels, dim_per_kernel: see above.
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
        """L1 distances of all pairs of points, [N, N, num_kernels]."""
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.theta), axis=0))
        points = tf.einsum('ni,ikd->nkd', x, self.theta * (tf.exp(self.log_weight_scale) / norm))
        return tf.reduce_sum(tf.abs(points[:, None] - points[None]), axis=3)

    @staticmethod
    def closeness(distances: tf.Tensor) -> tf.Tensor:
        """Sum over the others of exp(-distance), [N, num_kernels]."""
        others = 1.0 - tf.eye(tf.shape(distances)[0])
        return tf.reduce_sum(tf.exp(-distances) * others[:, :, None], axis=1)

    def initialize_from(self, x: tf.Tensor) -> None:
        """Set scales and biases so that among samples [N, inputs], N >= 2, neighbours are 2 apart
        on average and features average 0.
        """
        distances = self.distances(tf.cast(x, tf.float32))
        nearest = tf.reduce_min(distances + 1e6 * tf.eye(len(x))[:, :, None], axis=1)
        # samples that are all alike have no distance
        unit = tf.maximum(0.5 * tf.reduce_mean(nearest, axis=0), 1e-6)
        self.log_weight_scale.assign_sub(
            tf.tile(tf.math.log(unit)[:, None], [1, self.dim_per_kernel]))
        self.bias.assign(-tf.reduce_mean(self.closeness(distances / unit), axis=0))


class MultiplicativeNoise(Plain):
    """Multiply every channel of every sample by N(1, strength * sqrt(C)), in training only.

    The strength follows how well the discriminator is doing (`follow`); it is 0 until somebody
    says.
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
        """Set strength = coefficient * max(a - 0.5, 0)^2, a = running average (0.9) of a scalar
        signal clipped to [0, 1].
        """
        signal = tf.clip_by_value(tf.stop_gradient(signal), 0.0, 1.0)
        average = signal + (tf.convert_to_tensor(self.average) - signal) * self.SMOOTHING
        set_in_replica(self.average.value, average)
        set_in_replica(self.strength.value, coefficient * tf.square(tf.maximum(average - 0.5, 0.0)))
