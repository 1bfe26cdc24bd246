"""Layers of the growing networks (paper, sections 2 to 4), on NHWC activations.

Public tensors of this program are NCHW. The networks transpose their inputs and outputs once,
because TensorFlow's CPU kernels and tensor cores need channels last. Every weight and bias is a
float32 variable, cast when it is used.
"""
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan.nn.operations import to_nhwc
from pgan.nn.sharing import keep, made_once
from pgan.nn.specs import GAIN
from tfutil import NetworkAtStage
from tfutil.fusion import fused
from tfutil.network import defined_by_its_class


def make_kernels(view: NetworkAtStage) -> None:
    """Compute all kernels and biases of a network at a stage at once, in a block of `evaluating`.

    Do nothing if the network's own class does not list its layers with `layers_at`.

    Args:
        view: `tfutil.NetworkAtStage`.
    """
    if not defined_by_its_class(view.model, 'layers_at'):
        return
    dtype = view.model.activation_dtype
    layers = [
        layer for layer in view.model.layers_at(view.chosen_stage) if isinstance(layer, Equalized)
    ]
    weights = [tf.convert_to_tensor(layer.weight) for layer in layers]
    biases = [tf.convert_to_tensor(layer.bias) for layer in layers if layer.norm is None]

    def make(*tensors):
        kernels = [layer.make_kernel(weight) for layer, weight in zip(layers, tensors)]
        return [tf.cast(x, dtype) for x in (*kernels, *tensors[len(layers):])]
    made = fused(make, *weights, *biases)
    names = [(layer, 'kernel') for layer in layers] + [(layer, 'bias')
                                                       for layer in layers if layer.norm is None]
    for (layer, name), tensor in zip(names, made, strict=True):
        keep(layer, name, dtype, tensor)


class Equalized(keras.layers.Layer):
    """Base of the weighted layers: one weight with an equalized learning rate (paper, section 4.1)
    and one bias.

    Args:
        inputs, fmaps: number of incoming and outgoing feature maps.
        gain: He gain; the weight's standard deviation at run time is gain / sqrt(fan_in).
        use_wscale: initialize the stored weight with N(0, 1) and scale it at run time; otherwise
            initialize it with that standard deviation.
        norm: normalization class that replaces the bias, `BatchNorm` or `LayerNorm`; None = a bias.
        name: the layer's name. Its variables are <name>/weight and <name>/bias, or
            <name>/<norm>/... .
    """

    def __init__(self, inputs: int, fmaps: int, gain: float = GAIN, use_wscale: bool = True,
                 norm: Callable[[int], keras.layers.Layer] | None = None, name: str | None = None):
        super().__init__(name=name, dtype='float32', autocast=False)
        self.inputs = inputs
        self.fmaps = fmaps
        self.gain = gain
        self.use_wscale = use_wscale
        self.norm = norm and norm(fmaps)

    def weight_shape(self) -> list[int]:
        raise NotImplementedError

    def fan_in(self) -> int:
        return int(np.prod(self.weight_shape()[:-1]))

    def build(self) -> None:
        std = float(self.gain / np.sqrt(self.fan_in()))
        self.scale = np.float32(std if self.use_wscale else 1.0)
        initializer = keras.initializers.RandomNormal(0.0, 1.0 if self.use_wscale else std)
        self.weight = self.add_weight(name='weight', shape=self.weight_shape(),
                                      initializer=initializer)
        if self.norm is None:
            self.bias = self.add_weight(name='bias', shape=[self.fmaps], initializer='zeros')
        else:
            self.norm.build()

    def scaled_kernel(self, dtype: tf.DType) -> tf.Tensor:
        """Return the weight as used by the multiplication: scaled and cast."""
        return made_once(self, 'kernel', dtype, lambda: self.make_kernel(self.weight))

    def make_kernel(self, weight: tf.Tensor) -> tf.Tensor:
        return weight * self.scale

    def add_bias(self, x: tf.Tensor) -> tf.Tensor:
        if self.norm is not None:
            return self.norm(x)
        return tf.nn.bias_add(
            x, made_once(self, 'bias', x.dtype, lambda: tf.convert_to_tensor(self.bias)))


class Dense(Equalized):
    """Fully connected: [N, inputs] to [N, fmaps]."""

    def weight_shape(self) -> list[int]:
        return [self.inputs, self.fmaps]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.add_bias(tf.matmul(x, self.scaled_kernel(x.dtype)))


class DenseToImage(Equalized):
    """Fully connected to a 4x4 image: [N, inputs] to [N, 4, 4, fmaps].

    The weight's columns are in C, H, W order. There is one bias per feature map.
    """

    def weight_shape(self) -> list[int]:
        return [self.inputs, self.fmaps * 16]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.matmul(x, self.scaled_kernel(x.dtype)), [-1, self.fmaps, 4, 4])
        return self.add_bias(to_nhwc(x))


class Conv2D(Equalized):
    """Convolution, stride 1, SAME: [N, H, W, inputs] to [N, H, W, fmaps].

    The weight is [k, k, inputs, fmaps].
    """

    def __init__(self, inputs: int, fmaps: int, kernel: int = 3, **kwargs: Any):
        super().__init__(inputs, fmaps, **kwargs)
        self.kernel = kernel

    def weight_shape(self) -> list[int]:
        return [self.kernel, self.kernel, self.inputs, self.fmaps]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.add_bias(tf.nn.conv2d(x, self.scaled_kernel(x.dtype), 1, 'SAME'))
