"""Description of a network: its layers (`LayerSpec`) and its options.

Nothing here needs TensorFlow. `architecture` describes the paper's networks.
"""
import enum
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgan.resolutions import is_resolution, log2_of

GAIN = np.sqrt(2)  # He et al. 2015, for (leaky) ReLU


class Kind(enum.Enum):
    """Kind of a layer. `growing` has a class for each kind with variables, `legacy` a layout."""
    FIXED = 'image to image, without variables'
    PIXEL_NORM = 'vector to vector, without variables'
    CONV_3X3 = 'convolution'
    CONV_1X1 = '1x1 convolution'
    UP = 'fused nearest-neighbour up-scaling and 3x3 convolution'
    DOWN = 'fused 3x3 convolution and 2x2 box averaging'
    DENSE_TO_IMAGE = 'vector to 4x4 image'
    DENSE_OF_IMAGE = 'flattened 4x4 image to vector'
    MINIBATCH_DISCRIMINATION = 'vector to itself with one more feature per kernel'
    SCORES = 'vector to score and label logits'


_CONVOLUTIONS = Kind.CONV_3X3, Kind.CONV_1X1
_OF_PIXELS = (*_CONVOLUTIONS, Kind.FIXED, Kind.UP, Kind.DOWN, Kind.DENSE_TO_IMAGE)
# Number of kernel taps.
_TAPS = {
    Kind.CONV_3X3: 9,
    Kind.CONV_1X1: 1,
    Kind.UP: 9,
    Kind.DOWN: 9,
    Kind.DENSE_TO_IMAGE: 16,
    Kind.DENSE_OF_IMAGE: 1,
    Kind.SCORES: 1,
}


@dataclass(frozen=True)
class LayerSpec:
    """Layer of a network.

    Attributes:
        name: path of its variables in the network, e.g. '8x8/Conv1'. A name without a block, such
            as 'ToRGB_lod0', is that of a layer between feature maps and colours.
        kind: a `Kind`.
        r: log2 of its block's resolution.
        inputs, fmaps: components of an input and an output pixel or vector.
        gain: He gain of the initial weight.
        norm: 'BatchNorm' or 'LayerNorm' instead of the bias; None = a bias.
    """
    name: str
    kind: Kind
    r: int
    inputs: int
    fmaps: int
    gain: float = GAIN
    norm: str | None = None

    @property
    def in_block(self) -> bool:
        return '/' in self.name

    @property
    def shape(self) -> list[int]:
        """Shape of the output, NCHW without the minibatch axis."""
        size = 2 ** (self.r - (self.kind is Kind.DOWN))
        return [self.fmaps, size, size] if self.kind in _OF_PIXELS else [self.fmaps]

    @property
    def weight_size(self) -> int:
        """Number of components of the weight; 0 if there is none."""
        return _TAPS.get(self.kind, 0) * self.inputs * self.fmaps

    def multiplications(self, fused_taps: int = 9) -> int:
        """Multiplications per image.

        Args:
            fused_taps: kernel taps of layers that also scale by 2. Their kernels are applied once
                per pixel of the lower resolution.
        """
        if self.kind in (Kind.UP, Kind.DOWN):
            return fused_taps * self.inputs * self.fmaps * 4 ** (self.r - 1)
        meets_pixels = self.kind in _CONVOLUTIONS
        return self.weight_size * (4 ** self.r if meets_pixels else 1)

    def is_used(self, r: int, fading: bool = False) -> bool:
        """Whether a stage evaluates this layer.

        Args:
            r: log2 of the stage's resolution.
            fading: whether that resolution is blended with the one below.
        """
        return self.r <= r if self.in_block else r - fading <= self.r <= r


def update_multiplications(g: float, d: float, D_repeats: int) -> float:
    """Multiplications per training image: its share of the updates of G and D.

    A D update evaluates G once. It evaluates D on reals, fakes and mixed images, whose penalty is
    differentiated twice: about 12 evaluations in all. A G update takes three evaluations of G (a
    backward pass counts as two) and two of D (no gradients of its weights).

    Args:
        g, d: multiplications of one image in a forward pass of G and of D.
        D_repeats: D updates per G update.
    """
    return g + 12 * d + (3 * g + 2 * d) / D_repeats


def with_variables(layers: Iterable[LayerSpec]) -> Iterator[LayerSpec]:
    """Yield the layers that have variables."""
    return (layer for layer in layers if layer.kind not in (Kind.FIXED, Kind.PIXEL_NORM))


def colours_last(layers: Iterable[LayerSpec]) -> list[LayerSpec]:
    """Return the layers with all ToRGB layers at the end, highest resolution first."""
    layers = list(layers)
    return [*(layer for layer in layers if layer.in_block),
            *(layer for layer in reversed(layers) if not layer.in_block)]


def block_name(r: int) -> str:
    return f'{2 ** r}x{2 ** r}'


# ---------------------------------------------------------------- options

class Width:
    """Number of feature maps of each stage.

    Stage 1 is the 4x4 resolution; stage 0 is that of the latents and the last dense layer.
    """

    def __init__(self, fmap_base: float, fmap_decay: float, fmap_max: int):
        self.fmap_base = fmap_base
        self.fmap_decay = fmap_decay
        self.fmap_max = fmap_max

    def __call__(self, stage: int) -> int:
        fmaps = min(int(self.fmap_base / 2.0 ** (stage * self.fmap_decay)), self.fmap_max)
        if fmaps < 1:
            raise ValueError(f'no feature maps are left at {2 ** (stage + 1)}x{2 ** (stage + 1)}: '
                             f'fmap_base={self.fmap_base:g}, fmap_decay={self.fmap_decay}, '
                             f'fmap_max={self.fmap_max}. Raise fmap_base.')
        return fmaps


class Options(types.SimpleNamespace):
    """Keywords of a build function, completed by its defaults, and values derived from them.

    Args:
        build_func: e.g. `networks.G_paper`.
        keywords: dict; keywords that the function does not name are ignored.

    Attributes:
        nf: `Width`, the number of feature maps of a stage.
        top: log2 of the resolution.
        The others have the names of the keywords.

    Raises:
        ValueError: resolution is not a power of two >= 4, or mbstat_avg is unknown.
    """
    # for networks that lack the keyword
    X = 1
    latent_size = 0
    mbstat_avg = None
    use_batchnorm = use_layernorm = False

    def __init__(self, build_func: Callable[..., Any], keywords: Mapping[str, Any]):
        super().__init__(**{
            name: keywords.get(name, default) for name, default in defaults_of(build_func).items()
        })
        if not is_resolution(self.resolution):
            raise ValueError('resolution must be a power of two, at least 4. Received: '
                             f'resolution={self.resolution}')
        if self.mbstat_avg not in ('all', None):
            raise ValueError("mbstat_avg must be 'all' or None. Received: "
                             f'mbstat_avg={self.mbstat_avg!r}')
        self.top = log2_of(self.resolution)
        self.nf = Width(self.fmap_base / self.X, self.fmap_decay, self.fmap_max)
        if self.latent_size is None:
            self.latent_size = self.nf(0)

    @property
    def latents(self) -> int:
        """Components of a generator's input: latents plus labels."""
        return self.latent_size + self.label_size

    @property
    def has_statistic(self) -> bool:
        """Whether there is a minibatch stddev layer."""
        return self.mbstat_avg is not None and self.mbstd_group_size > 1

    @property
    def norm(self) -> str | None:
        """Normalization that replaces the bias in the layers that may have one; None = a bias."""
        return 'BatchNorm' if self.use_batchnorm else 'LayerNorm' if self.use_layernorm else None


def defaults_of(build_func: Callable[..., Any]) -> dict[str, Any]:
    """{keyword: default} of a function."""
    parameters = inspect.signature(build_func).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
