"""The two tiny networks of the MNIST-RGB mode recovery test (paper, Appendix D; after Metz et al.
2016, "Unrolled GANs").

Their size is what is tested: a discriminator of a few feature maps, which sees only part of what a
generator of normal size can do. Build functions as in `networks`, which hands them on. """
from typing import Literal

import tensorflow as tf

from pgan.errors import ConfigError
from pgan.nn.growing import ActivationType, Block, GrowingModel, Structure, Width, suffixes
from pgan.nn.layers import GAIN, Conv2D, Dense, DenseToImage
from pgan.nn.operations import (
    downscale2d,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
    to_nchw,
    to_nhwc,
    upscale2d,
)
from pgan.nn.theano_layers import BatchNorm
from pgan.options import Count, NonNegative, Positive, Resolution, Size, Supplied

FIRST_FMAPS = 64  # maps of the generator at 4x4, whatever fmap_base


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
    **_ignored,
):
    """Generator: latents [N, latent_size] and labels [N, label_size] to images [N, num_channels,
    resolution, resolution].

    A dense layer to 64 maps of 4x4; for 8x8 and each resolution r above, nearest up-scaling and one
    3x3 convolution to nf(log2(r) - 2) maps; a 3x3 convolution to colours; tanh. Leaky ReLU of slope
    0.3.

    Args:
        fmap_base, fmap_decay, fmap_max: nf(s) = min(int(fmap_base / 2**(s * fmap_decay)),
            fmap_max).
        latent_size: components of a latent vector; None = nf(0).
        use_wscale, use_pixelnorm: the paper's normalizations ("our norm"), in place of
            use_batchnorm.
        tanh_at_end: None, or the factor of the images' hyperbolic tangent.
        progressive: a ToRGB for each resolution, cross-faded by lod; else the network is trained at
            its full resolution only.

    The others are those of `networks.G_paper`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    return ModeRecoveryGenerator(num_channels, resolution, label_size,
                                 Width(fmap_base, fmap_decay, fmap_max), latent_size,
                                 normalize_latents, use_wscale, use_pixelnorm, use_batchnorm,
                                 tanh_at_end, progressive, dtype, structure)


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
    **_ignored,
):
    """Discriminator: images [N, num_channels, resolution, resolution] to scores [N, 1] and label
    logits [N, label_size].

    For each resolution r from the full one to 8x8 one 3x3 convolution to nf(log2(r) - 2) maps and
    2x2 averaging; then one dense layer. Leaky ReLU of slope 0.2.

    Args:
        X: how many times smaller than the generator: nf(s) = min(int(fmap_base / X / 2**(s *
            fmap_decay)), fmap_max). The paper's K is 1/X.
        mbstat_avg: 'all' appends a minibatch stddev map at 4x4, None does not.
        mbstd_group_size: its group; from the minibatch's size up it compares the whole minibatch.
        progressive: a FromRGB (1x1, with activation) for each resolution, cross-faded by lod. That
            of the full resolution has as many maps as the convolution after it. Else the first
            convolution sees the image itself.

    The others are those of `G_mnist_mode_recovery`.

    Raises:
        ValueError: resolution is not a power of two >= 4, or another option is out of its range.
    """
    if mbstat_avg not in ('all', None):
        raise ValueError(f"mbstat_avg must be 'all' or None. Received: mbstat_avg={mbstat_avg!r}")
    if not X > 0:
        raise ValueError('X must be above 0: the discriminator is X times smaller than the '
                         f'generator. Received: X={X!r}')
    return ModeRecoveryDiscriminator(num_channels, resolution, label_size,
                                     Width(fmap_base / X, fmap_decay, fmap_max), use_wscale,
                                     use_batchnorm, mbstd_group_size if mbstat_avg else 0,
                                     progressive, dtype, structure)


class ModeRecoveryModel(GrowingModel):
    """What both have in common: one that does not grow cannot be cut to a stage."""

    def check_stage(self, stage):
        if not self.progressive and stage is not None and (stage.floor_lod or stage.fading):
            raise ConfigError(f'{self.name} with progressive=False has only its full resolution, '
                              f'{self.resolution}x{self.resolution}. Set '
                              f'sched.lod_initial_resolution = {self.resolution}, or progressive '
                              '= True for both G and D.')


class ModeRecoveryGenerator(ModeRecoveryModel):
    """See `G_mnist_mode_recovery`."""

    def __init__(self, num_channels, resolution, label_size, width, latent_size, normalize_latents,
                 use_wscale, use_pixelnorm, use_batchnorm, tanh_at_end, progressive, dtype,
                 structure):
        super().__init__('G_mnist_mode_recovery', num_channels, resolution, dtype, structure)
        self.latent_size = width(0) if latent_size is None else latent_size
        self.label_size = label_size
        self.width = width
        self.use_wscale = use_wscale
        self.progressive = progressive
        self.normalize_latents = normalize_latents
        self.use_pixelnorm = use_pixelnorm
        self.tanh_at_end = tanh_at_end
        self.norm = BatchNorm if use_batchnorm else None
        self.describe_tensors({'latents_in': [self.latent_size], 'labels_in': [label_size]},
                              {'images_out': self.image_shape()})
        self.build()

    def fmaps(self, r):
        """Maps at 2^r x 2^r."""
        return FIRST_FMAPS if r == 2 else self.width(r - 2)

    def build(self):
        top, options = self.log2_resolution, dict(use_wscale=self.use_wscale, norm=self.norm)
        dense = DenseToImage(self.latent_size + self.label_size, self.fmaps(2), gain=GAIN / 4,
                             name='Dense', **options)
        blocks = {2: Block(2, [dense])}
        blocks |= {
            r: Block(r, [Conv2D(self.fmaps(r - 1), self.fmaps(r), name='Conv', **options)])
            for r in range(3, top + 1)
        }
        to_rgb = {
            r: Conv2D(self.fmaps(r), self.num_channels, gain=1.0, use_wscale=self.use_wscale,
                      name=f'ToRGB_lod{self.lod_of(r)}')
            for r in (range(2, top + 1) if self.progressive else [top])
        }
        self.build_in_order([
            layer for r in range(2, top + 1)
            for layer in (blocks[r], *([to_rgb[r]] if r in to_rgb else []))
        ])
        self.blocks, self.to_rgb = blocks, to_rgb

    def call(self, latents, labels=None, stage=None, native=False, training=False):
        """Images [N, C, R, R]; with native=True at the stage's own resolution instead of up-scaled
        to R.
        """
        self.check_stage(stage)
        x = tf.cast(latents, self.activation_dtype)
        if labels is not None:
            x = tf.concat([x, tf.cast(labels, x.dtype)], axis=1)
        if self.normalize_latents:
            x = pixel_norm(x)
        images = self._images(x, stage)
        if self.tanh_at_end is not None:
            images = tf.tanh(images) * self.tanh_at_end
        if not native:
            images = upscale2d(images, self.resolution // images.shape[1])
        return to_nchw(images)

    def _images(self, x, stage):
        """What the stage needs at its own resolution; without a stage every resolution, blended by
        the variable lod.
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
        return pixel_norm(x) if self.use_pixelnorm else x

    def layer_rows(self):
        """(name, output shape NCHW without the minibatch) of each layer, for
        `Network.print_layers`.
        """
        rows = [('4x4/PixelNorm',
                 [self.latent_size + self.label_size])] if self.normalize_latents else []
        number = suffixes()
        for r in range(2, self.log2_resolution + 1):
            name, shape = self.blocks[r].name, self.image_shape(r)
            if r > 2:
                rows.append((f'{name}/Upscale2D', [self.fmaps(r - 1), *shape[1:]]))
            rows.append((f'{name}/{self.blocks[r].parts[0].name}', [self.fmaps(r), *shape[1:]]))
            if r in self.to_rgb:
                rows.append((self.to_rgb[r].name, shape))
            if r > 2 and self.progressive:
                rows += [(f'Upscale2D{next(number)}', shape), (f'Grow_lod{self.lod_of(r)}', shape)]
        return rows


class ModeRecoveryDiscriminator(ModeRecoveryModel):
    """See `D_mnist_mode_recovery`."""

    def __init__(self, num_channels, resolution, label_size, width, use_wscale, use_batchnorm,
                 mbstd_group_size, progressive, dtype, structure):
        super().__init__('D_mnist_mode_recovery', num_channels, resolution, dtype, structure)
        self.label_size = label_size
        self.width = width
        self.use_wscale = use_wscale
        self.progressive = progressive
        self.norm = BatchNorm if use_batchnorm else None
        self.mbstd_group_size = mbstd_group_size
        self.describe_tensors({'images_in': self.image_shape()},
                              {'scores_out': [1], 'labels_out': [label_size]})
        self.build()

    def incoming(self, r):
        """Maps that arrive at 2^r x 2^r."""
        if r == self.log2_resolution:
            return self.width(max(r - 2, 0)) if self.progressive else self.num_channels
        return self.width(r - 1)

    def build(self):
        top, wscale = self.log2_resolution, dict(use_wscale=self.use_wscale)
        blocks = {
            r: Block(r, [
                Conv2D(self.incoming(r), self.width(r - 2), norm=self.norm, name='Conv', **wscale)
            ])
            for r in range(top, 2, -1)
        }
        features = (self.incoming(2) + (1 if self.mbstd_group_size > 1 else 0)) * 16
        blocks[2] = Block(2,
                          [Dense(features, 1 + self.label_size, gain=1.0, name='Dense', **wscale)])
        from_rgb = {
            r: Conv2D(self.num_channels, self.incoming(r), kernel=1,
                      name=f'FromRGB_lod{self.lod_of(r)}', **wscale)
            for r in range(top, 1, -1)
        } if self.progressive else {}
        self.build_in_order([
            layer for r in range(top, 1, -1)
            for layer in (*([from_rgb[r]] if from_rgb else []), blocks[r])
        ])
        self.blocks, self.from_rgb = blocks, from_rgb

    def call(self, images, stage=None, training=False):
        """Scores [N, 1] and label logits [N, label_size]."""
        self.check_stage(stage)
        images = to_nhwc(tf.cast(images, self.activation_dtype))
        x = self._head(self._pyramid(images, stage))
        return x[:, :1], x[:, 1:]

    def _pyramid(self, images, stage):
        """Features at 4x4: of what the stage needs; without a stage of every resolution, blended by
        the variable lod.
        """
        top = self.log2_resolution - (stage.floor_lod if stage else 0)
        images = downscale2d(images, max(images.shape[1] >> top, 1))
        images = upscale2d(images, 2 ** top // images.shape[1])
        x = self._from_rgb(images, top) if self.progressive else images
        for r in range(top, 2, -1):
            x = downscale2d(leaky_relu(self.blocks[r].parts[0](x)))
            if self.progressive and (stage is None or stage.fading and r == top):
                images = downscale2d(images)
                x = self.blend(x, self._from_rgb(images, r - 1), self.lod_of(r))
        return x

    def _from_rgb(self, images, r):
        return leaky_relu(self.from_rgb[r](images))

    def _head(self, x):
        if self.mbstd_group_size > 1:
            x = minibatch_stddev(x, self.mbstd_group_size)
        x = to_nchw(x)  # the dense weights are in C, H, W order
        return self.blocks[2].parts[0](tf.reshape(x, [-1, x.shape[1] * 16]))

    def layer_rows(self):
        """(name, output shape NCHW without the minibatch) of each layer, for
        `Network.print_layers`.
        """
        number, top = suffixes(), self.log2_resolution
        rows = [('FromRGB_lod0',
                 [self.incoming(top), *self.image_shape()[1:]])] if self.progressive else []
        for r in range(top, 2, -1):
            name, low = self.blocks[r].name, self.image_shape(r - 1)
            after = [self.width(r - 2), *low[1:]]
            rows += [(f'{name}/Conv', [self.width(r - 2), *self.image_shape(r)[1:]]),
                     (f'{name}/Downscale2D', after)]
            if self.progressive:
                lod = self.lod_of(r)
                rows += [(f'Downscale2D{next(number)}', low), (f'FromRGB_lod{lod + 1}', after),
                         (f'Grow_lod{lod}', after)]
        if self.mbstd_group_size > 1:
            rows.append(('4x4/MinibatchStddev', [1, 4, 4]))
        return [*rows, ('4x4/Dense', [1 + self.label_size])]
