"""Layers that convolve and scale by 2 in one (paper, Appendix A), on NHWC activations.

They compute one pixel in four, and apply a 2x2 box. The original made the box a part of the kernel,
which is 4x4 then. Here the pixels go through the box and the kernel stays 3x3: 9 multiplications,
not 16, at the price of a pass over memory (benchmarks/LOG.md). The numbers are the same.
"""
import numpy as np
import tensorflow as tf

from pgan.nn.layers import Conv2D
from tfutil.gradients import custom_gradient


def kernels_hold_the_box() -> bool:
    """Whether layers that scale by 2 use 4x4 kernels.

    3x3 was measured to be faster on CPUs. On GPUs neither has been measured: a roofline model gives
    3x3 up to 17 % less time at 32x32 to 128x128, and 1 to 12 % less at 1024x1024. `python -m
    benchmarks.gpu` measures both.
    """
    return False


def four_shifts(weight: tf.Tensor) -> tf.Tensor:
    """Sum of a kernel's four one-pixel shifts: 3x3 becomes the 4x4 kernel that also doubles (or,
    times 1/4, averages) pixels.
    """
    rows = tf.pad(weight, [[0, 1], [0, 0], [0, 0], [0, 0]]) + tf.pad(
        weight, [[1, 0], [0, 0], [0, 0], [0, 0]])
    return tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]]) + tf.pad(rows,
                                                                   [[0, 0], [1, 0], [0, 0], [0, 0]])


@custom_gradient
def box_means(x: tf.Tensor) -> tf.Tensor:
    """Means of 2x2 pixels, at each place where they fit: [N, H, W, C] to [N, H - 1, W - 1, C]."""
    return tf.nn.avg_pool2d(x, 2, 1, 'VALID'), framed_box_means


@custom_gradient
def framed_box_means(x: tf.Tensor) -> tf.Tensor:
    """`box_means` with a frame of zeros around the image: [N, H, W, C] to [N, H + 1, W + 1, C].
    Each of the two is the other's gradient.
    """
    n, h, w, c = x.shape
    # no copy of x in its frame, but slow for other numbers of maps
    if n is not None and c % 16 == 0:
        y = tf.raw_ops.AvgPoolGrad(orig_input_shape=[n, h + 1, w + 1, c], grad=x,
                                   ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding='VALID')
    else:
        # An exported network has an open minibatch; other programs know no gradients' operations.
        y = tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 1, 'VALID')
    return y, box_means


class UpConv2D(Conv2D):
    """Nearest-neighbour up-scaling and convolution in one: [N, H, W, inputs] to [N, 2H, 2W, fmaps].

    The weight is [3, 3, fmaps, inputs]: the transposed convolution's own order, as old snapshots
    have it.
    """

    def weight_shape(self) -> list[int]:
        return [self.kernel, self.kernel, self.fmaps, self.inputs]

    def fan_in(self) -> int:
        return self.kernel * self.kernel * self.inputs

    def make_kernel(self, weight: tf.Tensor) -> tf.Tensor:
        return four_shifts(
            weight *
            self.scale) if kernels_hold_the_box() else weight * (self.scale * np.float32(4))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        w = self.scaled_kernel(x.dtype)
        if kernels_hold_the_box():
            y = self._spread(x, w, 'SAME', 0)
        else:
            y = box_means(self._spread(x, w, 'VALID', 1))
        return self.add_bias(y)

    def _spread(self, x, w, padding, extra):
        """Transposed convolution of stride 2; the result is `extra` pixels larger than twice the
        input.
        """
        h, width = (size * 2 + extra for size in x.shape[1:3])
        minibatch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        y = tf.nn.conv2d_transpose(x, w, [minibatch, h, width, self.fmaps], 2, padding)
        return tf.ensure_shape(y, [x.shape[0], h, width, self.fmaps])


class DownConv2D(Conv2D):
    """Convolution and 2x2 box averaging in one: [N, H, W, inputs] to [N, H/2, W/2, fmaps]. The
    weight is [3, 3, inputs, fmaps].
    """

    def make_kernel(self, weight: tf.Tensor) -> tf.Tensor:
        return four_shifts(
            weight * (self.scale *
                      np.float32(0.25))) if kernels_hold_the_box() else super().make_kernel(weight)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        w = self.scaled_kernel(x.dtype)
        if kernels_hold_the_box():
            return self.add_bias(tf.nn.conv2d(x, w, 2, 'SAME'))
        return self.add_bias(tf.nn.conv2d(framed_box_means(x), w, 2, 'VALID'))
