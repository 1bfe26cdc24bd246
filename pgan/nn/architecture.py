"""The architecture of the paper's networks, as lists of layers (Appendices A and D).

These lists are the only description of the networks. The Keras layers (`growing`), the table of
`print_layers`, the meaning of arrays in Theano files (`legacy`) and operation counts
(`pgan.reporting.timetable`, `benchmarks.flops`) are derived from them.

All functions take a `specs.Options` and yield `specs.LayerSpec`. r is the log2 of a resolution.
"""
from collections.abc import Iterator

from pgan.nn.specs import GAIN, Kind, LayerSpec, Options, block_name

FIRST_FMAPS = 64  # of the mode recovery generator at 4x4, for any fmap_base


def generator_layers(options: Options) -> Iterator[LayerSpec]:
    """Layers of `networks.G_paper`, from the latents to the images."""
    nf, norm = options.nf, options.norm
    yield from _normalized_latents(options)
    yield LayerSpec('4x4/Dense', Kind.DENSE_TO_IMAGE, 2, options.latents, nf(1), GAIN / 4, norm)
    yield LayerSpec('4x4/Conv', Kind.CONV_3X3, 2, nf(1), nf(1), norm=norm)
    yield _to_rgb(options, 2, Kind.CONV_1X1, nf(1))
    for r in range(3, options.top + 1):
        block = block_name(r)
        if options.fused_scale:
            yield LayerSpec(f'{block}/Conv0_up', Kind.UP, r, nf(r - 2), nf(r - 1), norm=norm)
        else:
            yield _fixed(f'{block}/Upscale2D', r, nf(r - 2))
            yield LayerSpec(f'{block}/Conv0', Kind.CONV_3X3, r, nf(r - 2), nf(r - 1), norm=norm)
        yield LayerSpec(f'{block}/Conv1', Kind.CONV_3X3, r, nf(r - 1), nf(r - 1), norm=norm)
        yield _to_rgb(options, r, Kind.CONV_1X1, nf(r - 1))
        yield from _grown_images(options, r)


def discriminator_layers(options: Options) -> Iterator[LayerSpec]:
    """Layers of `networks.D_paper`, from the images to the scores."""
    nf, norm = options.nf, options.norm
    yield _from_rgb(options, options.top, nf(options.top - 1))
    for r in range(options.top, 2, -1):
        block = block_name(r)
        yield LayerSpec(f'{block}/Conv0', Kind.CONV_3X3, r, nf(r - 1), nf(r - 1), norm=norm)
        if options.fused_scale:
            yield LayerSpec(f'{block}/Conv1_down', Kind.DOWN, r, nf(r - 1), nf(r - 2), norm=norm)
        else:
            yield LayerSpec(f'{block}/Conv1', Kind.CONV_3X3, r, nf(r - 1), nf(r - 2), norm=norm)
            yield _fixed(f'{block}/Downscale2D', r - 1, nf(r - 2))
        yield from _shrunk_images(options, r - 1, nf(r - 2))
    yield from _statistic(options)
    yield LayerSpec('4x4/Conv', Kind.CONV_3X3, 2, nf(1) + options.has_statistic, nf(1), norm=norm)
    yield LayerSpec('4x4/Dense0', Kind.DENSE_OF_IMAGE, 2, nf(1) * 16, nf(0), norm=norm)
    features = nf(0) + (options.mbdisc_kernels or 0)
    if options.mbdisc_kernels:
        yield LayerSpec('4x4/MinibatchDiscrimination', Kind.MINIBATCH_DISCRIMINATION, 2, nf(0),
                        features)
    yield LayerSpec('4x4/Dense1', Kind.SCORES, 2, features, 1 + options.label_size, gain=1.0)


def mode_recovery_generator_layers(options: Options) -> Iterator[LayerSpec]:
    """Layers of `G_mnist_mode_recovery`, from the latents to the images."""
    nf, norm, fmaps = options.nf, options.norm, FIRST_FMAPS
    yield from _normalized_latents(options)
    yield LayerSpec('4x4/Dense', Kind.DENSE_TO_IMAGE, 2, options.latents, fmaps, GAIN / 4, norm)
    if options.progressive or options.top == 2:
        yield _to_rgb(options, 2, Kind.CONV_3X3, fmaps)
    for r in range(3, options.top + 1):
        block, inputs, fmaps = block_name(r), fmaps, nf(r - 2)
        yield _fixed(f'{block}/Upscale2D', r, inputs)
        yield LayerSpec(f'{block}/Conv', Kind.CONV_3X3, r, inputs, fmaps, norm=norm)
        if options.progressive or options.top == r:
            yield _to_rgb(options, r, Kind.CONV_3X3, fmaps)
        if options.progressive:
            yield from _grown_images(options, r)


def mode_recovery_discriminator_layers(options: Options) -> Iterator[LayerSpec]:
    """Layers of `D_mnist_mode_recovery`, from the images to the scores."""
    fmaps = options.num_channels
    if options.progressive:
        fmaps = options.nf(options.top - 2)
        yield _from_rgb(options, options.top, fmaps)
    for r in range(options.top, 2, -1):
        block, inputs, fmaps = block_name(r), fmaps, options.nf(r - 2)
        yield LayerSpec(f'{block}/Conv', Kind.CONV_3X3, r, inputs, fmaps, norm=options.norm)
        yield _fixed(f'{block}/Downscale2D', r - 1, fmaps)
        if options.progressive:
            yield from _shrunk_images(options, r - 1, fmaps)
    yield from _statistic(options)
    yield LayerSpec('4x4/Dense', Kind.SCORES, 2, (fmaps + options.has_statistic) * 16,
                    1 + options.label_size, gain=1.0)


# ---------------------------------------------------------------- shared parts

def _fixed(name, r, fmaps):
    """Return a layer without variables."""
    return LayerSpec(name, Kind.FIXED, r, fmaps, fmaps)


def _normalized_latents(options):
    if options.normalize_latents:
        yield LayerSpec('4x4/PixelNorm', Kind.PIXEL_NORM, 2, options.latents, options.latents)


def _to_rgb(options, r, kind, inputs):
    return LayerSpec(f'ToRGB_lod{options.top - r}', kind, r, inputs, options.num_channels, gain=1.0)


def _from_rgb(options, r, fmaps):
    return LayerSpec(f'FromRGB_lod{options.top - r}', Kind.CONV_1X1, r, options.num_channels, fmaps)


def _grown_images(options, r):
    """Yield the layers that blend images with those of the resolution below."""
    yield _fixed(_numbered('Upscale2D', r - 3), r, options.num_channels)
    yield _fixed(f'Grow_lod{options.top - r}', r, options.num_channels)


def _shrunk_images(options, r, fmaps):
    """Yield the layers that blend feature maps with those of the downscaled images."""
    lod_above = options.top - r - 1
    yield _fixed(_numbered('Downscale2D', lod_above), r, options.num_channels)
    yield _from_rgb(options, r, fmaps)
    yield _fixed(f'Grow_lod{lod_above}', r, fmaps)


def _statistic(options):
    if options.has_statistic:
        yield _fixed('4x4/MinibatchStddev', 2, 1)


def _numbered(name, count):
    """Number layers of the same name: name, name_1, name_2, ..."""
    return f'{name}_{count}' if count else name
