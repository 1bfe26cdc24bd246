"""The paper's generator and discriminator (Appendix A), as build functions for `tfutil.Network`.

`pgan.nn.architecture` lists their layers. A build function takes a network's static keywords and
returns a Keras model. Required of the model:

* `inputs` and `outputs` give names and shapes (NCHW, first axis None). The model is called with
  the inputs in that order.
* The variables' paths below the model are the network's local names, in pickling order.

Required of a growing model:

* It has a non-trainable scalar `lod` and an attribute `resolution`, the full resolution.
* Its `call` takes `stage`. Given a stage, it evaluates only the layers that the stage needs.
  Given None, it evaluates all layers and blends them by the variable `lod`.

Optional methods and arguments:

* `call(native=True)` of a growing generator returns images at the stage's own resolution.
* `call(training=True)` is used in the losses, for batch normalization and noise.
* `call(minibatches=n)` of a discriminator takes n concatenated minibatches, if the model's own
  class defines `keeps_minibatches_apart` and it is true. The losses then evaluate reals and fakes
  in one call.
* `layers_at(stage)`, if the model's own class defines it, returns the layers that a stage
  evaluates. Without it, they are found by evaluating the model.
* `features(images, stage)` of a discriminator returns the activations that the script `nearest`
  compares. Without it, the input of the last evaluated layer with variables is used.
* `initialize_from_reals(reals, stage)` of a discriminator is called before training if its
  attribute `starts_from_reals` is true.
* `layer_rows()` returns the rows of `Network.print_layers`.
* `layer_specs()` describes the layers (`pgan.nn.specs.LayerSpec`), for estimates of the time of a
  stage.

The models are the classes `Generator` and `Discriminator`. Their keywords, and those of classes
derived from them, are the build function's.
"""
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from tfutil import Stage  # first: it sets Keras's backend

# isort: split
import keras
import tensorflow as tf

from pgan.nn.architecture import discriminator_layers, generator_layers
from pgan.nn.growing import ActivationType, GrowingModel, Structure, layers_of_stage
from pgan.nn.mode_recovery import D_mnist_mode_recovery, G_mnist_mode_recovery
from pgan.nn.operations import (
    downscale2d,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
    to_nchw,
    to_nhwc,
    upscale2d,
)
from pgan.nn.sharing import by_parts
from pgan.nn.specs import LayerSpec, colours_last
from pgan.nn.theano_layers import MultiplicativeNoise
from pgan.options import Count, NonNegative, Resolution, Size, Supplied

__all__ = ['D_mnist_mode_recovery', 'D_paper', 'G_mnist_mode_recovery', 'G_paper']


def G_paper(
    num_channels: Supplied[Literal[1, 3]] = 1,
    resolution: Supplied[Resolution] = 32,
    label_size: Supplied[Size] = 0,
    fmap_base: Count = 8192,
    fmap_decay: NonNegative = 1.0,
    fmap_max: Count = 512,
    latent_size: Count | None = None,
    normalize_latents: bool = True,
    use_wscale: bool = True,
    use_pixelnorm: bool = True,
    pixelnorm_epsilon: NonNegative = 1e-8,
    use_leakyrelu: bool = True,
    dtype: ActivationType = 'float32',
    fused_scale: bool = True,
    structure: Structure = None,
    use_batchnorm: bool = False,
    tanh_at_end: float | None = None,
    **_ignored: Any,
) -> GrowingModel:
    """Generator of the paper.

    Maps latents [N, latent_size] and labels [N, label_size] to images [N, num_channels, resolution,
    resolution].

    Args:
        num_channels: colour channels, 1 or 3.
        resolution: width = height in pixels; a power of two, at least 4.
        label_size: components of a label; 0 = unconditional.
        fmap_base, fmap_decay, fmap_max: feature maps of stage s: min(int(fmap_base / 2**(s *
            fmap_decay)), fmap_max).
        latent_size: components of a latent vector; None = feature maps of stage 0.
        normalize_latents: apply pixel norm to the concatenated latents and labels before the first
            layer.
        use_wscale: use the equalized learning rate.
        use_pixelnorm, pixelnorm_epsilon: pixelwise normalization after each activation.
        use_leakyrelu: leaky ReLU of slope 0.2 instead of ReLU.
        dtype: of the activations: 'float32', 'float16' or 'bfloat16'. Variables are always float32.
        fused_scale: compute up-scaling and convolution as one transposed convolution.
        structure: 'linear' evaluates every layer at any lod, 'recursive' only the layers that the
            lod needs. The results are the same. None = 'recursive'.
        use_batchnorm: batch normalization instead of the bias, in all layers but ToRGB.
        tanh_at_end: apply tanh to the images and multiply by this factor; None = no tanh.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    return Generator(**locals())  # the keywords by name


def D_paper(
    num_channels: Supplied[Literal[1, 3]] = 1,
    resolution: Supplied[Resolution] = 32,
    label_size: Supplied[Size] = 0,
    fmap_base: Count = 8192,
    fmap_decay: NonNegative = 1.0,
    fmap_max: Count = 512,
    use_wscale: bool = True,
    mbstd_group_size: Size = 4,
    dtype: ActivationType = 'float32',
    fused_scale: bool = True,
    structure: Structure = None,
    mbstat_avg: Literal['all', None] = 'all',
    mbdisc_kernels: Count | None = None,
    use_layernorm: bool = False,
    use_gdrop: bool = False,
    **_ignored: Any,
) -> GrowingModel:
    """Discriminator of the paper.

    Maps images [N, num_channels, resolution, resolution] to scores [N, 1] and label logits [N,
    label_size]. Images may have any resolution from the active stage's to the full one; images
    above the stage's resolution are box-averaged.

    Args:
        mbstd_group_size: group size of the minibatch stddev layer; 0 or 1 = no such layer.
        mbstat_avg: 'all', or None = no minibatch stddev layer.
        mbdisc_kernels: kernels of minibatch discrimination (Salimans et al. 2016) before the last
            layer; None = without.
        use_layernorm: layer normalization instead of the bias, in all layers but FromRGB and the
            last.
        use_gdrop: multiplicative noise before each 3x3 convolution and before 4x4/Dense0.
            `loss.D_lsgan_acgan` sets its strength.

    The others are those of `G_paper`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or (when called) the minibatch is not
            divisible by the group.
    """
    return Discriminator(**locals())  # the keywords by name


# ---------------------------------------------------------------- generator

class Generator(GrowingModel):
    """Keras model of `G_paper`; takes the same keywords."""

    def __init__(self, **keywords: Any):
        super().__init__(G_paper, keywords)
        options = self.options
        self.activation = leaky_relu if options.use_leakyrelu else tf.nn.relu
        self.describe_tensors(
            {'latents_in': [options.latent_size], 'labels_in': [options.label_size]},
            {'images_out': self.image_shape()})
        self.build()

    def build(self) -> None:
        specs: Iterable[LayerSpec] = self.layer_specs()
        if self.options.structure == 'recursive':  # the order in which such networks were pickled
            specs = colours_last(specs)
        self.to_rgb = self.build_layers(specs)

    def layer_specs(self) -> Iterator[LayerSpec]:
        return generator_layers(self.options)

    def layers_at(self, stage: Stage | None) -> list[keras.layers.Layer]:
        """The layers with variables that a stage evaluates; without a stage all of them."""
        return layers_of_stage(self, self.to_rgb, stage)

    def call(self, latents: tf.Tensor, labels: tf.Tensor | None = None, stage: Stage | None = None,
             native: bool = False, training: bool = False) -> tf.Tensor:
        """Return images [N, C, R, R].

        With native=True they have the stage's own resolution instead of R.
        """
        inputs = [latents] if labels is None else [latents, labels]
        if self.options.use_batchnorm:  # needs statistics of the whole minibatch
            return to_nchw(self._images(stage, native, *inputs))
        return to_nchw(by_parts(lambda *part: self._images(stage, native, *part), *inputs))

    def _images(self, stage, native, latents, labels=None):
        x = tf.cast(latents, self.activation_dtype)
        if labels is not None:
            x = tf.concat([x, tf.cast(labels, x.dtype)], axis=1)
        if self.options.normalize_latents:
            x = pixel_norm(x, self.options.pixelnorm_epsilon)
        images = self._everything(x) if stage is None else self._stage(x, stage)
        if self.options.tanh_at_end is not None:
            images = tf.tanh(images) * self.options.tanh_at_end
        if not native:
            images = upscale2d(images, self.resolution // images.shape[1])
        return images

    def _stage(self, x, stage):
        """Evaluate only the stage's layers; return images at the stage's own resolution."""
        top = self.log2_resolution - stage.floor_lod
        for r in range(2, top + 1):
            before, x = x, self._block(x, r)
        images = self.to_rgb[top](x)
        if stage.fading:
            images = self.blend(images, upscale2d(self.to_rgb[top - 1](before)), stage.floor_lod)
        return images

    def _everything(self, x):
        """Evaluate every resolution, blended by the variable lod."""
        x = self._block(x, 2)
        images = self.to_rgb[2](x)
        for r in range(3, self.log2_resolution + 1):
            x = self._block(x, r)
            images = self.blend(self.to_rgb[r](x), upscale2d(images), self.lod_of(r))
        return images

    def _block(self, x, r):
        if r > 2 and not self.options.fused_scale:
            x = upscale2d(x)
        for layer in self.blocks[r].parts:
            x = self.activation(layer(x))
            if self.options.use_pixelnorm:
                x = pixel_norm(x, self.options.pixelnorm_epsilon)
        return x


# ---------------------------------------------------------------- discriminator

class Discriminator(GrowingModel):
    """Keras model of `D_paper`; takes the same keywords."""

    def __init__(self, **keywords: Any):
        super().__init__(D_paper, keywords)
        self.describe_tensors({'images_in': self.image_shape()},
                              {'scores_out': [1], 'labels_out': [self.options.label_size]})
        self.build()

    def build(self) -> None:
        noise = [MultiplicativeNoise(name='gdrop')] if self.options.use_gdrop else []
        self.from_rgb = self.build_layers(self.layer_specs(), *noise)
        self.gdrop = noise[0] if noise else None

    def layer_specs(self) -> Iterator[LayerSpec]:
        return discriminator_layers(self.options)

    def layers_at(self, stage: Stage | None) -> list[keras.layers.Layer]:
        """The layers with variables that a stage evaluates; without a stage all of them."""
        return layers_of_stage(self, self.from_rgb, stage)

    @property
    def keeps_minibatches_apart(self) -> bool:
        """Whether `call` takes `minibatches`.

        It does if no layer but the minibatch stddev combines samples, and none draws random
        numbers.
        """
        return not self.options.mbdisc_kernels and not self.options.use_gdrop

    def call(self, images: tf.Tensor, stage: Stage | None = None, minibatches: int = 1,
             training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return scores [N, 1] and label logits [N, label_size].

        `images` may be several concatenated minibatches if `keeps_minibatches_apart` is true.
        """
        x = self.blocks[2].parts[-1](self._features(images, stage, minibatches))
        return x[:, :1], x[:, 1:]

    def features(self, images: tf.Tensor, stage: Stage | None = None) -> tf.Tensor:
        """Return the input of the 4x4 block, [N, C, 4, 4].

        Each sample depends on its own image only, as minibatch stddev comes later.
        """
        return to_nchw(self._pyramid(to_nhwc(tf.cast(images, self.activation_dtype)), stage))

    @property
    def starts_from_reals(self) -> bool:
        """Whether `initialize_from_reals` must be called before training."""
        return bool(self.options.mbdisc_kernels)

    def initialize_from_reals(self, reals: tf.Tensor, stage: Stage | None = None) -> None:
        """Initialize minibatch discrimination from real images [N, C, r, r]."""
        group = self.options.mbstd_group_size if self.options.has_statistic else 1
        size = -(-50 // group) * group  # few at a time: high resolutions need much memory
        reals = reals[:max(len(reals) // size, 1) * size]
        x = [
            self._features(reals[i:i + size], stage, with_mbdisc=False)
            for i in range(0, len(reals), size)
        ]
        self.blocks[2].parts[2].initialize_from(tf.concat(x, axis=0))

    def _features(self, images, stage, minibatches=1, with_mbdisc=True):
        """Return the input of the last layer, [N, features].

        Only the minibatch layers combine samples.
        """
        images = to_nhwc(tf.cast(images, self.activation_dtype))
        x = self._pyramid(images, stage)
        if self.options.has_statistic:
            x = minibatch_stddev(x, self.options.mbstd_group_size, minibatches)
        x = self._by_parts(self._head, x)
        return self.blocks[2].parts[2](x) if self.options.mbdisc_kernels and with_mbdisc else x

    def _pyramid(self, images, stage):
        return self._by_parts(
            lambda images: self._everything(images)
            if stage is None else self._stage(images, stage), images)

    def _by_parts(self, function, x):
        # noise is drawn for the whole minibatch at once
        return function(x) if self.options.use_gdrop else by_parts(function, x)

    def _stage(self, images, stage):
        """Evaluate only the stage's layers; return the features at 4x4."""
        top = self.log2_resolution - stage.floor_lod
        images = downscale2d(images, images.shape[1] >> top)
        x = self._from_rgb(images, top)
        for r in range(top, 2, -1):
            x = self._block(x, r)
            if stage.fading and r == top:
                x = self.blend(x, self._from_rgb(downscale2d(images), top - 1), stage.floor_lod)
        return x

    def _everything(self, images):
        """Evaluate every resolution, blended by the variable lod."""
        images = upscale2d(images, self.resolution // images.shape[1])
        x = self._from_rgb(images, self.log2_resolution)
        for r in range(self.log2_resolution, 2, -1):
            x = self._block(x, r)
            images = downscale2d(images)
            x = self.blend(x, self._from_rgb(images, r - 1), self.lod_of(r))
        return x

    def _from_rgb(self, images, r):
        return leaky_relu(self.from_rgb[r](images))

    def _block(self, x, r):
        for layer in self.blocks[r].parts:
            x = leaky_relu(layer(self._with_noise(x)))
        return x if self.options.fused_scale else downscale2d(x)

    def _with_noise(self, x):
        return self.gdrop(x) if self.options.use_gdrop else x

    def _head(self, x):
        conv, dense0 = self.blocks[2].parts[:2]
        x = self._with_noise(leaky_relu(conv(self._with_noise(x))))
        # the dense weights are in C, H, W order
        x = tf.reshape(to_nchw(x), [-1, dense0.inputs])
        return leaky_relu(dense0(x))
