"""Layers that fuse a convolution with scaling by 2 (paper, Appendix A), on NHWC activations.

They convolve with stride 2 and apply a 2x2 box filter. The original merges the box into the kernel,
which becomes 4x4. Here the pixels are box-filtered and the kernel stays 3x3: 9 multiplications
instead of 16, at the cost of one more pass over memory (benchmarks/LOG.md). The results are the
same.
"""
import numpy as np
import tensorflow as tf

from pgan.nn.layers import Conv2D
from tfutil.gradients import custom_gradient


def kernels_hold_the_box() -> bool:
    """Whether layers that scale by 2 use 4x4 kernels.

    3x3 kernels are faster on CPUs (measured). On GPUs, a roofline model predicts that 3x3 takes up
    to 17 % less time at 32x32 to 128x128, and 1 to 12 % less at 1024x1024. That has not been
    measured; `python -m benchmarks.gpu` measures both.
    """
    return False


def four_shifts(weight: tf.Tensor) -> tf.Tensor:
    """Return the sum of a kernel's four one-pixel shifts, which turns 3x3 into 4x4.

    The 4x4 kernel also doubles pixels or, multiplied by 1/4, averages them.
    """
    rows = tf.pad(weight, [[0, 1], [0, 0], [0, 0], [0, 0]]) + tf.pad(
        weight, [[1, 0], [0, 0], [0, 0], [0, 0]])
    return tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]]) + tf.pad(rows,
                                                                   [[0, 0], [1, 0], [0, 0], [0, 0]])


@custom_gradient
def box_means(x: tf.Tensor) -> tf.Tensor:
    """2x2 box filter without padding: [N, H, W, C] to [N, H - 1, W - 1, C]."""
    return tf.nn.avg_pool2d(x, 2, 1, 'VALID'), framed_box_means


@custom_gradient
def framed_box_means(x: tf.Tensor) -> tf.Tensor:
    """2x2 box filter with one pixel of zero padding: [N, H, W, C] to [N, H + 1, W + 1, C].

    It is the gradient of `box_means`, and the reverse.
    """
    n, h, w, c = x.shape
    # avoids a padded copy of x, but is slow for other numbers of feature maps
    if n is not None and c % 16 == 0:
        y = tf.raw_ops.AvgPoolGrad(orig_input_shape=[n, h + 1, w + 1, c], grad=x,
                                   ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding='VALID')
    else:
        # Exported networks have an unknown minibatch size. Gradient operations do not exist in
        # other programs.
        y = tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 1, 'VALID')
    return y, box_means


class UpConv2D(Conv2D):
    """Fused nearest-neighbour up-scaling and convolution: [N, H, W, inputs] to [N, 2H, 2W, fmaps].

    The weight is [3, 3, fmaps, inputs], the order of a transposed convolution, as in the original's
    snapshots.
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
        """Transposed convolution of stride 2: [N, H, W, C] to [N, 2H + extra, 2W + extra, fmaps].
        """
        h, width = (size * 2 + extra for size in x.shape[1:3])
        minibatch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        y = tf.nn.conv2d_transpose(x, w, [minibatch, h, width, self.fmaps], 2, padding)
        return tf.ensure_shape(y, [x.shape[0], h, width, self.fmaps])


class DownConv2D(Conv2D):
    """Fused convolution and 2x2 box averaging: [N, H, W, inputs] to [N, H/2, W/2, fmaps].

    The weight is [3, 3, inputs, fmaps].
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
