"""The paper's generator and discriminator (Appendix A), as build functions for `tfutil.Network`.

A build function takes a network's static keywords and returns a Keras model:
  * `inputs` and `outputs` give names and shapes (NCHW, open first axis); calling the model takes
  the inputs in that order; * the variables' paths below the model are the network's local names, in
  the order in which they are pickled; * a growing model has a non-trainable scalar `lod`, an
  attribute `resolution` (the full one), and its `call` takes `stage`. Given one,
    only the layers that stage needs are evaluated. Without one, everything is, and the blending
    follows the variable `lod` wherever it stands. A growing generator may also take `native`: then
    images are asked for at the stage's own resolution;
  * `layers_at(stage)`, if its own class has one, gives the layers that a stage evaluates; without
  it, that is found out by evaluating; * a discriminator's `call` may take `minibatches`, the number
  of minibatches that its images are, if its attribute
    `keeps_minibatches_apart`, of its own class, is true: the losses then evaluate reals and fakes
    at once;
  * its `call` may take `training`, true in the losses: batch normalization and noise; *
  `initialize_from_reals(reals, stage)` is called before a discriminator is trained if its attribute
  `starts_from_reals` is true; * `layer_rows()`, if there is one, gives the rows of
  `Network.print_layers`.
A model without these is evaluated as it is.
"""
from typing import Literal

import tensorflow as tf

from pgan.nn.fused_convolutions import DownConv2D, UpConv2D
from pgan.nn.growing import ActivationType, Block, GrowingModel, Structure, Width, suffixes
from pgan.nn.layers import GAIN, Conv2D, Dense, DenseToImage
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
from pgan.nn.theano_layers import BatchNorm, LayerNorm, MinibatchDiscrimination, MultiplicativeNoise
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
    **_ignored,
):
    """Generator of the paper: latents [N, latent_size] and labels [N, label_size] to images [N,
    num_channels, resolution, resolution].

    Args:
        num_channels: colour channels, 1 or 3.
        resolution: width = height in pixels; a power of two, at least 4.
        label_size: components of a label, 0 = unconditional.
        fmap_base, fmap_decay, fmap_max: feature maps of stage s: min(int(fmap_base / 2**(s *
            fmap_decay)), fmap_max).
        latent_size: components of a latent vector; None = feature maps of stage 0.
        normalize_latents: pixel-normalise latents and labels together before the first layer.
        use_wscale: equalized learning rate.
        use_pixelnorm, pixelnorm_epsilon: pixelwise normalisation after each activation.
        use_leakyrelu: leaky ReLU (0.2) or ReLU.
        dtype: of the activations: 'float32', 'float16' or 'bfloat16'. Variables are always float32.
        fused_scale: up-scaling and convolution as one transposed convolution.
        structure: 'linear' evaluates every layer whatever the lod, 'recursive' those it needs; same
            numbers. None = recursive.
        use_batchnorm: batch normalization in place of the bias, in all layers but ToRGB.
        tanh_at_end: None, or the factor of the images' hyperbolic tangent.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    return Generator(num_channels, resolution, label_size, Width(fmap_base, fmap_decay, fmap_max),
                     latent_size, normalize_latents, use_wscale, use_pixelnorm, pixelnorm_epsilon,
                     use_leakyrelu, dtype, fused_scale, structure, use_batchnorm, tanh_at_end)


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
    **_ignored,
):
    """Discriminator of the paper: images [N, num_channels, resolution, resolution] to scores [N, 1]
    and label logits [N, label_size].

    Images may come at any resolution from the active stage's to the full one; larger ones are
    box-averaged.

    Args:
        mbstd_group_size: group of the minibatch stddev layer; 0 or 1 leaves the layer out.
        mbstat_avg: 'all', or None, which leaves the minibatch stddev layer out, too.
        mbdisc_kernels: kernels of minibatch discrimination (Salimans et al. 2016) before the last
            layer; None = without.
        use_layernorm: layer normalization in place of the bias, in all layers but FromRGB and the
            last.
        use_gdrop: multiplicative noise before each 3x3 convolution and before 4x4/Dense0; its
            strength is set by `loss.D_lsgan_acgan`.

    The others are those of `G_paper`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or (when called) the minibatch is not
    divisible by the group. """
    group = check_mbstat(mbstat_avg, mbstd_group_size)
    return Discriminator(num_channels, resolution, label_size, Width(fmap_base, fmap_decay,
                                                                     fmap_max), use_wscale, group,
                         dtype, fused_scale, structure, mbdisc_kernels, use_layernorm, use_gdrop)


def check_mbstat(mbstat_avg, mbstd_group_size):
    """The group of the minibatch stddev layer, 0 for none."""
    if mbstat_avg not in ('all', None):
        raise ValueError(f"mbstat_avg must be 'all' or None. Received: mbstat_avg={mbstat_avg!r}")
    return mbstd_group_size if mbstat_avg else 0


def layers_of_stage(model, rgb_layers, stage):
    """Layers of the blocks up to a stage's resolution, and those between maps and colours; without
    a stage all layers.

    Args:
        model: a `GrowingModel` with `blocks`.
        rgb_layers: {log2 of the resolution: ToRGB or FromRGB}.
        stage: `tfutil.Stage` or None.
    """
    if stage is None:
        blocks, colours = model.blocks.values(), rgb_layers.values()
    else:
        top = model.log2_resolution - stage.floor_lod
        blocks = [block for r, block in model.blocks.items() if r <= top]
        colours = [rgb_layers[r] for r in range(top - stage.fading, top + 1)]
    return [*(layer for block in blocks for layer in block.parts), *colours]


# ---------------------------------------------------------------- generator

class Generator(GrowingModel):
    """See `G_paper`."""

    def __init__(self, num_channels, resolution, label_size, width, latent_size, normalize_latents,
                 use_wscale, use_pixelnorm, pixelnorm_epsilon, use_leakyrelu, dtype, fused_scale,
                 structure, use_batchnorm=False, tanh_at_end=None):
        super().__init__('G_paper', num_channels, resolution, dtype, structure)
        self.latent_size = width(0) if latent_size is None else latent_size
        self.label_size = label_size
        self.width = width
        self.use_wscale = use_wscale
        self.fused_scale = fused_scale
        self.normalize_latents = normalize_latents
        self.use_pixelnorm = use_pixelnorm
        self.pixelnorm_epsilon = pixelnorm_epsilon
        self.activation = leaky_relu if use_leakyrelu else tf.nn.relu
        self.norm = BatchNorm if use_batchnorm else None
        self.tanh_at_end = tanh_at_end
        self.describe_tensors({'latents_in': [self.latent_size], 'labels_in': [label_size]},
                              {'images_out': self.image_shape()})
        self.build()

    def build(self):
        resolutions = range(2, self.log2_resolution + 1)
        blocks = {r: Block(r, self._block_layers(r)) for r in resolutions}
        to_rgb = {
            r: Conv2D(self.width(r - 1), self.num_channels, kernel=1, gain=1.0,
                      use_wscale=self.use_wscale, name=f'ToRGB_lod{self.lod_of(r)}')
            for r in resolutions
        }
        if self.structure == 'recursive':  # the order in which such networks were pickled
            self.build_in_order([*blocks.values(), *reversed(to_rgb.values())])
        else:
            self.build_in_order([layer for r in resolutions for layer in (blocks[r], to_rgb[r])])
        self.blocks, self.to_rgb = blocks, to_rgb

    def _block_layers(self, r):
        fmaps, before = self.width(r - 1), self.width(r - 2)
        options = dict(use_wscale=self.use_wscale, norm=self.norm)
        if r == 2:
            return [
                DenseToImage(self.latent_size + self.label_size, fmaps, gain=GAIN / 4, name='Dense',
                             **options),
                Conv2D(fmaps, fmaps, name='Conv', **options)
            ]
        first = (UpConv2D(before, fmaps, name='Conv0_up', **options) if self.fused_scale
                 else Conv2D(before, fmaps, name='Conv0', **options))
        return [first, Conv2D(fmaps, fmaps, name='Conv1', **options)]

    def layers_at(self, stage):
        """The layers with variables that a stage evaluates; without a stage all of them."""
        return layers_of_stage(self, self.to_rgb, stage)

    def call(self, latents, labels=None, stage=None, native=False, training=False):
        """Images [N, C, R, R]; with native=True at the stage's own resolution instead of up-scaled
        to R.
        """
        inputs = [latents] if labels is None else [latents, labels]
        if self.norm is not None:  # looks at the whole minibatch
            return to_nchw(self._images(stage, native, *inputs))
        return to_nchw(by_parts(lambda *part: self._images(stage, native, *part), *inputs))

    def _images(self, stage, native, latents, labels=None):
        x = tf.cast(latents, self.activation_dtype)
        if labels is not None:
            x = tf.concat([x, tf.cast(labels, x.dtype)], axis=1)
        if self.normalize_latents:
            x = pixel_norm(x, self.pixelnorm_epsilon)
        images = self._everything(x) if stage is None else self._stage(x, stage)
        if self.tanh_at_end is not None:
            images = tf.tanh(images) * self.tanh_at_end
        if not native:
            images = upscale2d(images, self.resolution // images.shape[1])
        return images

    def _stage(self, x, stage):
        """Only what the stage needs, at its own resolution."""
        top = self.log2_resolution - stage.floor_lod
        for r in range(2, top + 1):
            before, x = x, self._block(x, r)
        images = self.to_rgb[top](x)
        if stage.fading:
            images = self.blend(images, upscale2d(self.to_rgb[top - 1](before)), stage.floor_lod)
        return images

    def _everything(self, x):
        """Every resolution, blended by the variable lod."""
        x = self._block(x, 2)
        images = self.to_rgb[2](x)
        for r in range(3, self.log2_resolution + 1):
            x = self._block(x, r)
            images = self.blend(self.to_rgb[r](x), upscale2d(images), self.lod_of(r))
        return images

    def _block(self, x, r):
        if r > 2 and not self.fused_scale:
            x = upscale2d(x)
        for layer in self.blocks[r].parts:
            x = self.activation(layer(x))
            if self.use_pixelnorm:
                x = pixel_norm(x, self.pixelnorm_epsilon)
        return x

    def layer_rows(self):
        """(name, output shape NCHW without the minibatch) of each layer, for
        `Network.print_layers`.
        """
        rows = [('4x4/PixelNorm',
                 [self.latent_size + self.label_size])] if self.normalize_latents else []
        number = suffixes()
        for r in range(2, self.log2_resolution + 1):
            name, lod = self.blocks[r].name, self.lod_of(r)
            if r > 2 and not self.fused_scale:
                rows.append((f'{name}/Upscale2D', [self.width(r - 2), *self.image_shape(r)[1:]]))
            rows += [(f'{name}/{layer.name}', [self.width(r - 1), *self.image_shape(r)[1:]])
                     for layer in self.blocks[r].parts]
            rows.append((f'ToRGB_lod{lod}', self.image_shape(r)))
            if r > 2:
                rows += [(f'Upscale2D{next(number)}', self.image_shape(r)),
                         (f'Grow_lod{lod}', self.image_shape(r))]
        return rows


# ---------------------------------------------------------------- discriminator

class Discriminator(GrowingModel):
    """See `D_paper`."""

    def __init__(self, num_channels, resolution, label_size, width, use_wscale, mbstd_group_size,
                 dtype, fused_scale, structure, mbdisc_kernels=None, use_layernorm=False,
                 use_gdrop=False):
        super().__init__('D_paper', num_channels, resolution, dtype, structure)
        self.label_size = label_size
        self.width = width
        self.use_wscale = use_wscale
        self.mbstd_group_size = mbstd_group_size
        self.fused_scale = fused_scale
        self.mbdisc_kernels = mbdisc_kernels
        self.norm = LayerNorm if use_layernorm else None
        self.use_gdrop = use_gdrop
        self.describe_tensors({'images_in': self.image_shape()},
                              {'scores_out': [1], 'labels_out': [label_size]})
        self.build()

    def build(self):
        resolutions = range(self.log2_resolution, 1, -1)
        blocks = {r: Block(r, self._block_layers(r)) for r in resolutions}
        from_rgb = {
            r: Conv2D(self.num_channels, self.width(r - 1), kernel=1, use_wscale=self.use_wscale,
                      name=f'FromRGB_lod{self.lod_of(r)}')
            for r in resolutions
        }
        noise = [MultiplicativeNoise(name='gdrop')] if self.use_gdrop else []
        self.build_in_order(
            [*[layer for r in resolutions for layer in (from_rgb[r], blocks[r])], *noise])
        self.blocks, self.from_rgb, self.gdrop = blocks, from_rgb, noise[0] if noise else None

    def _block_layers(self, r):
        fmaps, after = self.width(r - 1), self.width(r - 2)
        options = dict(use_wscale=self.use_wscale, norm=self.norm)
        if r == 2:
            extra = 1 if self.mbstd_group_size > 1 else 0
            kernels = self.mbdisc_kernels or 0
            return [
                Conv2D(fmaps + extra, fmaps, name='Conv', **options),
                Dense(fmaps * 16, after, name='Dense0', **options),
                *([MinibatchDiscrimination(after, kernels)] if kernels else []),
                Dense(after + kernels, 1 + self.label_size, gain=1.0, use_wscale=self.use_wscale,
                      name='Dense1')
            ]
        second = (DownConv2D(fmaps, after, name='Conv1_down', **options) if self.fused_scale
                  else Conv2D(fmaps, after, name='Conv1', **options))
        return [Conv2D(fmaps, fmaps, name='Conv0', **options), second]

    def layers_at(self, stage):
        """The layers with trainable variables that a stage evaluates; without a stage all of
        them.
        """
        return layers_of_stage(self, self.from_rgb, stage)

    @property
    def keeps_minibatches_apart(self):
        """Whether `call` takes `minibatches`: all layers but the minibatch stddev look at one
        sample, and none draws numbers.
        """
        return not self.mbdisc_kernels and not self.use_gdrop

    def call(self, images, stage=None, minibatches=1, training=False):
        """Scores [N, 1] and label logits [N, label_size].

        `images` may hold several minibatches, one after the other, if `keeps_minibatches_apart`.
        """
        x = self.blocks[2].parts[-1](self._features(images, stage, minibatches))
        return x[:, :1], x[:, 1:]

    @property
    def starts_from_reals(self):
        """Whether variables are to be set from real images before training."""
        return bool(self.mbdisc_kernels)

    def initialize_from_reals(self, reals, stage=None):
        """Fit minibatch discrimination to real images [N, C, r, r]: its data-dependent
        initialization.
        """
        groups = max(self.mbstd_group_size, 1)
        size = -(-50 // groups) * groups  # few at a time: at high resolutions they are large
        reals = reals[:max(len(reals) // size, 1) * size]
        x = [
            self._features(reals[i:i + size], stage, with_mbdisc=False)
            for i in range(0, len(reals), size)
        ]
        self.blocks[2].parts[2].initialize_from(tf.concat(x, axis=0))

    def _features(self, images, stage, minibatches=1, with_mbdisc=True):
        """What the last layer sees, [N, features]. Only minibatch layers look at more than one
        sample.
        """
        images = to_nhwc(tf.cast(images, self.activation_dtype))
        x = self._by_parts(
            lambda images: self._everything(images)
            if stage is None else self._stage(images, stage), images)
        if self.mbstd_group_size > 1:
            x = minibatch_stddev(x, self.mbstd_group_size, minibatches)
        x = self._by_parts(self._head, x)
        return self.blocks[2].parts[2](x) if self.mbdisc_kernels and with_mbdisc else x

    def _by_parts(self, function, x):
        # noise is drawn for the whole minibatch
        return function(x) if self.use_gdrop else by_parts(function, x)

    def _stage(self, images, stage):
        """Only what the stage needs; returns the features at 4x4."""
        top = self.log2_resolution - stage.floor_lod
        images = downscale2d(images, images.shape[1] >> top)
        x = self._from_rgb(images, top)
        for r in range(top, 2, -1):
            x = self._block(x, r)
            if stage.fading and r == top:
                x = self.blend(x, self._from_rgb(downscale2d(images), top - 1), stage.floor_lod)
        return x

    def _everything(self, images):
        """Every resolution, blended by the variable lod."""
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
        return x if self.fused_scale else downscale2d(x)

    def _with_noise(self, x):
        return self.gdrop(x) if self.use_gdrop else x

    def _head(self, x):
        conv, dense0 = self.blocks[2].parts[:2]
        x = self._with_noise(leaky_relu(conv(self._with_noise(x))))
        # the dense weights are in C, H, W order
        x = tf.reshape(to_nchw(x), [-1, self.width(1) * 16])
        return leaky_relu(dense0(x))

    def layer_rows(self):
        """(name, output shape NCHW without the minibatch) of each layer, for
        `Network.print_layers`.
        """
        number = suffixes()
        rows = [('FromRGB_lod0', [self.width(self.log2_resolution - 1), *self.image_shape()[1:]])]
        for r in range(self.log2_resolution, 2, -1):
            name, lod, low = self.blocks[r].name, self.lod_of(r), self.image_shape(r - 1)
            after = [self.width(r - 2), *low[1:]]
            rows.append((f'{name}/Conv0', [self.width(r - 1), *self.image_shape(r)[1:]]))
            if self.fused_scale:
                rows.append((f'{name}/Conv1_down', after))
            else:
                rows += [(f'{name}/Conv1', [self.width(r - 2), *self.image_shape(r)[1:]]),
                         (f'{name}/Downscale2D', after)]
            rows += [(f'Downscale2D{next(number)}', low), (f'FromRGB_lod{lod + 1}', after),
                     (f'Grow_lod{lod}', after)]
        if self.mbstd_group_size > 1:
            rows.append(('4x4/MinibatchStddev', [1, 4, 4]))
        rows += [('4x4/Conv', [self.width(1), 4, 4]), ('4x4/Dense0', [self.width(0)])]
        if self.mbdisc_kernels:
            rows.append(('4x4/MinibatchDiscrimination', [self.width(0) + self.mbdisc_kernels]))
        return rows + [('4x4/Dense1', [1 + self.label_size])]
