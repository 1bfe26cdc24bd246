"""Tiny networks of the MNIST-RGB mode recovery test (paper, Appendix D; after Metz et al. 2016,
"Unrolled GANs").

The test is about capacity: a discriminator with few feature maps can judge only part of what a
generator of normal size produces. These are build functions as in `networks`, which re-exports
them.
"""
from collections.abc import Iterator
from typing import Any, Literal

import tensorflow as tf

from pgan.errors import ConfigError
from pgan.nn.architecture import mode_recovery_discriminator_layers, mode_recovery_generator_layers
from pgan.nn.growing import ActivationType, GrowingModel, Structure
from pgan.nn.operations import (
    downscale2d,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
    to_nchw,
    to_nhwc,
    upscale2d,
)
from pgan.nn.specs import LayerSpec
from pgan.options import Count, NonNegative, Positive, Resolution, Size, Supplied
from tfutil import Stage


def G_mnist_mode_recovery(
    num_channels: Supplied[Literal[1, 3]] = 3,
    resolution: Supplied[Resolution] = 32,
    label_size: Supplied[Size] = 0,
    fmap_base: Count = 64,
    fmap_decay: NonNegative = 1.0,
    fmap_max: Count = 256,
    latent_size: Count | None = None,
    normalize_latents: bool = True,
    use_wscale: bool = False,
    use_pixelnorm: bool = False,
    use_batchnorm: bool = True,
    tanh_at_end: float | None = 1.0,
    progressive: bool = False,
    dtype: ActivationType = 'float32',
    structure: Structure = None,
    **_ignored: Any,
) -> GrowingModel:
    """Generator of the mode recovery test.

    Maps latents [N, latent_size] and labels [N, label_size] to images [N, num_channels, resolution,
    resolution]. Layers: a dense layer to 64 maps of 4x4; for 8x8 and each resolution r above,
    nearest-neighbour up-scaling and a 3x3 convolution to nf(log2(r) - 2) maps; a 3x3 convolution to
    colours; tanh. Activations are leaky ReLU of slope 0.3.

    Args:
        fmap_base, fmap_decay, fmap_max: nf(s) = min(int(fmap_base / 2**(s * fmap_decay)),
            fmap_max).
        latent_size: components of a latent vector; None = nf(0).
        use_wscale, use_pixelnorm: the paper's normalizations ("our norm"), to use instead of
            use_batchnorm.
        tanh_at_end: apply tanh to the images and multiply by this factor; None = no tanh.
        progressive: have a ToRGB for each resolution, cross-faded by lod; otherwise train at the
            full resolution only.

    The others are those of `networks.G_paper`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    return ModeRecoveryGenerator(**locals())  # the keywords by name


def D_mnist_mode_recovery(
    num_channels: Supplied[Literal[1, 3]] = 3,
    resolution: Supplied[Resolution] = 32,
    label_size: Supplied[Size] = 0,
    fmap_base: Count = 64,
    fmap_decay: NonNegative = 1.0,
    fmap_max: Count = 256,
    X: Positive = 2,
    use_wscale: bool = False,
    use_batchnorm: bool = True,
    mbstat_avg: Literal['all', None] = None,
    mbstd_group_size: Size = 64,
    progressive: bool = False,
    dtype: ActivationType = 'float32',
    structure: Structure = None,
    **_ignored: Any,
) -> GrowingModel:
    """Discriminator of the mode recovery test.

    Maps images [N, num_channels, resolution, resolution] to scores [N, 1] and label logits [N,
    label_size]. Layers: for each resolution r from the full one down to 8x8, a 3x3 convolution to
    nf(log2(r) - 2) maps and 2x2 averaging; then a dense layer. Activations are leaky ReLU of slope
    0.2.

    Args:
        X: how many times smaller than the generator: nf(s) = min(int(fmap_base / X / 2**(s *
            fmap_decay)), fmap_max). The paper's K is 1/X.
        mbstat_avg: 'all' appends a minibatch stddev map at 4x4; None does not.
        mbstd_group_size: group size of minibatch stddev; the whole minibatch if that is smaller.
        progressive: have a FromRGB (1x1, with activation) for each resolution, cross-faded by lod.
            That of the full resolution has the same number of maps as the convolution after it.
            Otherwise the first convolution gets the image itself.

    The others are those of `G_mnist_mode_recovery`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    if not X > 0:
        raise ValueError('X must be above 0: the discriminator is X times smaller than the '
                         f'generator. Received: X={X!r}')
    return ModeRecoveryDiscriminator(**locals())  # the keywords by name


class ModeRecoveryModel(GrowingModel):
    """Base of both. Without progressive=True there is only the full resolution."""

    def check_stage(self, stage: Stage | None) -> None:
        if not self.options.progressive and stage is not None and (stage.floor_lod or stage.fading):
            raise ConfigError(f'{self.name} with progressive=False has only its full resolution, '
                              f'{self.resolution}x{self.resolution}. Set '
                              f'sched.lod_initial_resolution = {self.resolution}, or progressive '
                              '= True for both G and D.')


class ModeRecoveryGenerator(ModeRecoveryModel):
    """Keras model of `G_mnist_mode_recovery`; takes the same keywords."""

    def __init__(self, **keywords: Any):
        super().__init__(G_mnist_mode_recovery, keywords)
        options = self.options
        self.describe_tensors(
            {'latents_in': [options.latent_size], 'labels_in': [options.label_size]},
            {'images_out': self.image_shape()})
        self.build()

    def build(self) -> None:
        self.to_rgb = self.build_layers(self.layer_specs())

    def layer_specs(self) -> Iterator[LayerSpec]:
        return mode_recovery_generator_layers(self.options)

    def call(self, latents: tf.Tensor, labels: tf.Tensor | None = None, stage: Stage | None = None,
             native: bool = False, training: bool = False) -> tf.Tensor:
        """Return images [N, C, R, R].

        With native=True they have the stage's own resolution instead of R.
        """
        self.check_stage(stage)
        x = tf.cast(latents, self.activation_dtype)
        if labels is not None:
            x = tf.concat([x, tf.cast(labels, x.dtype)], axis=1)
        if self.options.normalize_latents:
            x = pixel_norm(x)
        images = self._images(x, stage)
        if self.options.tanh_at_end is not None:
            images = tf.tanh(images) * self.options.tanh_at_end
        if not native:
            images = upscale2d(images, self.resolution // images.shape[1])
        return to_nchw(images)

    def _images(self, x, stage):
        """Return images at the stage's own resolution, from the layers that it needs.

        Without a stage, evaluate every resolution, blended by the variable lod.
        """
        top = self.log2_resolution - (stage.floor_lod if stage else 0)
        images = None
        for r in range(2, top + 1):
            x = self._block(x, r)
            if r not in self.to_rgb or (stage and r < top - stage.fading):
                continue
            coarse, images = images, self.to_rgb[r](x)
            if coarse is not None:
                images = self.blend(images, upscale2d(coarse), self.lod_of(r))
        return images

    def _block(self, x, r):
        x = leaky_relu(self.blocks[r].parts[0](x if r == 2 else upscale2d(x)), 0.3)
        return pixel_norm(x) if self.options.use_pixelnorm else x


class ModeRecoveryDiscriminator(ModeRecoveryModel):
    """Keras model of `D_mnist_mode_recovery`; takes the same keywords."""

    def __init__(self, **keywords: Any):
        super().__init__(D_mnist_mode_recovery, keywords)
        self.describe_tensors({'images_in': self.image_shape()},
                              {'scores_out': [1], 'labels_out': [self.options.label_size]})
        self.build()

    def build(self) -> None:
        self.from_rgb = self.build_layers(self.layer_specs())

    def layer_specs(self) -> Iterator[LayerSpec]:
        return mode_recovery_discriminator_layers(self.options)

    def call(self, images: tf.Tensor, stage: Stage | None = None,
             training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return scores [N, 1] and label logits [N, label_size]."""
        self.check_stage(stage)
        images = to_nhwc(tf.cast(images, self.activation_dtype))
        x = self._head(self._pyramid(images, stage))
        return x[:, :1], x[:, 1:]

    def features(self, images: tf.Tensor, stage: Stage | None = None) -> tf.Tensor:
        """Return the activations at 4x4, [N, C, 4, 4].

        Each sample depends on its own image only, as minibatch stddev comes later.
        """
        self.check_stage(stage)
        return to_nchw(self._pyramid(to_nhwc(tf.cast(images, self.activation_dtype)), stage))

    def _pyramid(self, images, stage):
        """Return the features at 4x4, from the layers that the stage needs.

        Without a stage, evaluate every resolution, blended by the variable lod.
        """
        top = self.log2_resolution - (stage.floor_lod if stage else 0)
        images = downscale2d(images, max(images.shape[1] >> top, 1))
        images = upscale2d(images, 2 ** top // images.shape[1])
        x = self._from_rgb(images, top) if self.options.progressive else images
        for r in range(top, 2, -1):
            x = downscale2d(leaky_relu(self.blocks[r].parts[0](x)))
            if self.options.progressive and (stage is None or stage.fading and r == top):
                images = downscale2d(images)
                x = self.blend(x, self._from_rgb(images, r - 1), self.lod_of(r))
        return x

    def _from_rgb(self, images, r):
        return leaky_relu(self.from_rgb[r](images))

    def _head(self, x):
        if self.options.has_statistic:
            x = minibatch_stddev(x, self.options.mbstd_group_size)
        x = to_nchw(x)  # the dense weights are in C, H, W order
        return self.blocks[2].parts[0](tf.reshape(x, [-1, x.shape[1] * 16]))
