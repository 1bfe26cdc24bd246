"""Multi-scale structural similarity of pairs of images (Wang, Simoncelli and Bovik 2003).

It measures a lack of variation. The paper (section 5) compares pairs of generated images: a value
above that of real pairs indicates missing variation. Computed in float64. The window is the product
of two Gaussians, so each axis is filtered separately.
"""
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics.feeding import check_minibatch, check_mode, check_setting, in_threads, slices
from pgan.errors import ConfigError
from pgan.pixels import box_average

# Exponents of the levels, finest first; measured with observers (Wang et al., section 3.2).
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Numbers that a thread filters at a time, which fit into the processor's cache.
_BLOCK = 1 << 16
# Output pixels along an axis per matrix product: few, because most of the matrix is zero.
_PIXELS = 16


def gaussian(size: int, sigma: float) -> np.ndarray:
    """One-dimensional Gaussian, float64 [size] with sum 1.

    The window is the outer product of this profile with itself.

    Args:
        size: number of pixels; an even window is centred between two pixels.
        sigma: standard deviation in pixels.
    """
    x = np.arange(size) - (size - 1) / 2
    profile = np.exp(-x ** 2 / (2 * sigma ** 2))
    return profile / profile.sum()


def _filter(x, profile):
    """Correlate rows and columns of [N, C, H, W] with a profile, without padding ('valid').

    Returns [N, C, H - size + 1, W - size + 1]. Products with a banded matrix, a few pixels at a
    time, are 4x faster than adding shifted images.
    """
    extra = len(profile) - 1
    band = np.zeros((_PIXELS + extra, _PIXELS))
    for pixel in range(_PIXELS):
        band[pixel:pixel + len(profile), pixel] = profile
    height, width = x.shape[2] - extra, x.shape[3] - extra
    rows = np.empty((*x.shape[:2], height, x.shape[3]))
    for part in slices(height, _PIXELS):
        count = part.stop - part.start
        np.matmul(band[:count + extra, :count].T, x[:, :, part.start:part.stop + extra],
                  out=rows[:, :, part])
    out = np.empty((*x.shape[:2], height, width))
    for part in slices(width, _PIXELS):
        count = part.stop - part.start
        np.matmul(rows[..., part.start:part.stop + extra], band[:count + extra, :count],
                  out=out[..., part])
    return out


def _one_level(a, b, max_val, filter_size, filter_sigma, k1, k2):
    """Per-image means of the similarity and of its contrast term: two float64 [N].

    a, b: float64 [N, C, H, W].
    """
    size = min(filter_size, a.shape[2], a.shape[3])
    profile = gaussian(size, size * filter_sigma / filter_size)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = _filter(a, profile), _filter(b, profile)
    product, squares = mean_a * mean_b, mean_a ** 2 + mean_b ** 2
    covariances = 2 * (_filter(a * b, profile) - product) + c2
    variances = _filter(a * a + b * b, profile) - squares + c2  # Only their sum is needed.
    contrast = covariances / variances
    similarity = (2 * product + c1) / (squares + c1) * contrast
    return similarity.mean(axis=(1, 2, 3)), contrast.mean(axis=(1, 2, 3))


def _some_images(a, b, weights, **options):
    """Similarity of each pair of a few images."""
    # Planar and contiguous: channels before pixels.
    a, b = (np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float64) for x in (a, b))
    score = np.ones(len(a))
    for level, weight in enumerate(weights):
        if level:
            a, b = box_average(a), box_average(b)
        similarity, contrast = _one_level(a, b, **options)
        # The mean contrast of unrelated images may be negative, and then has no real power.
        score *= np.maximum(similarity if level == len(weights) - 1 else contrast, 0) ** weight
    return score


def msssim_per_image(img1: np.ndarray, img2: np.ndarray, max_val: float = 255,
                     filter_size: int = 11, filter_sigma: float = 1.5, k1: float = 0.01,
                     k2: float = 0.03, weights: Sequence[float] = WEIGHTS) -> np.ndarray:
    """Similarity of each pair, float64 [N]; see `msssim`."""
    if img1.shape != img2.shape or img1.ndim != 4:
        raise ConfigError('MS-SSIM compares two minibatches of equal shape [N, height, width, '
                          f'channels]. Received: {list(img1.shape)} and {list(img2.shape)}. Crop '
                          'or resize one of them.')
    _, height, width, _ = img1.shape
    check_sizes(height, width, levels=len(weights))
    options = dict(max_val=max_val, filter_size=filter_size, filter_sigma=filter_sigma, k1=k1,
                   k2=k2)
    some = slices(len(img1), max(1, _BLOCK // max(img1[:1].size, 1)))
    scores = in_threads(lambda part: _some_images(img1[part], img2[part], weights, **options), some)
    return np.concatenate(scores)


def msssim(img1: np.ndarray, img2: np.ndarray, max_val: float = 255, filter_size: int = 11,
           filter_sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03,
           weights: Sequence[float] = WEIGHTS) -> float:
    """Mean similarity of pairs of images, as in the original.

    The metric itself calls `msssim_per_image`.

    Args:
        img1, img2: two minibatches [N, H, W, C] of any type.
        max_val: difference between white and black.
        filter_size: side of the Gaussian window in pixels; reduced for smaller images.
        filter_sigma: standard deviation of the window in pixels; reduced with the window.
        k1, k2: constants of the formula (Wang et al. 2004, equation 13).
        weights: exponents of the levels, finest first.

    Returns:
        float in [0, 1]; 1 for equal images.

    Raises:
        ConfigError: the shapes differ, or a side cannot be halved len(weights) times.
    """
    scores = msssim_per_image(img1, img2, max_val, filter_size, filter_sigma, k1, k2, weights)
    return float(scores.mean())


# --------------------------------------------------------------------------------------------------
# Image sizes that can be halved.

def fits(size: int, levels: int = len(WEIGHTS)) -> bool:
    """Whether a side can be halved once per level, down to at least one pixel.

    Even sizes can be halved, and 3 (see `box_average`).
    """
    for _ in range(levels):
        if size < 1 or (size % 2 and size > 3):
            return False
        size = {3: 2, 1: 0}.get(size, size // 2)
    return True


def check_sizes(height: int, width: int, levels: int = len(WEIGHTS)) -> None:
    """Raise ConfigError unless both sides can be halved `levels` times. It names sizes that can."""
    wrong = [size for size in (height, width) if not fits(size, levels)]
    if not wrong:
        return
    smallest = next(size for size in range(1, 2 ** levels + 1) if fits(size, levels))
    below = [size for size in range(smallest, wrong[0]) if fits(size, levels)][-1:]
    above = next(size for size in range(wrong[0] + 1, wrong[0] + 2**(levels + 1))
                 if fits(size, levels))
    raise ConfigError(f'MS-SSIM halves images {levels} times, which {width}x{height} (width x '
                      f'height) does not allow. The smallest side that works is {smallest}; the '
                      f'nearest to {wrong[0]}: {" and ".join(map(str, [*below, above]))}. Leave '
                      'out this metric, or crop or resize the images.')


class API:
    """MS-SSIM: the mean similarity of images 0 and 1, 2 and 3, and so on in a pass.

    Fakes are not compared with reals. An unpaired image at the end of a minibatch is paired with
    the first of the next minibatch.
    """
    higher_is_better = False  # similar images mean little variation

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int) -> None:
        """See `metrics` for the arguments.

        Raises:
            ConfigError: the images cannot be halved five times, or there are fewer than two; see
                `check_setting` for other errors.
        """
        check_setting(num_images, image_shape, image_dtype, minibatch_size, fewest=2)
        _, height, width = image_shape
        check_sizes(height, width)
        self.image_shape = tuple(image_shape)

    def get_metric_names(self) -> list[str]:
        return ['MS-SSIM']

    def get_metric_formatting(self) -> list[str]:
        return ['%-10.4f']

    def begin(self, mode: str) -> None:
        """Start a pass: 'warmup', 'reals' or 'fakes'."""
        check_mode(mode)
        self._alone = np.empty((0, *self.image_shape), np.uint8)
        self._sum = 0.0
        self._pairs = 0

    def feed(self, mode: str, minibatch: npt.ArrayLike) -> None:
        """Compare the pairs of a minibatch, uint8 [N, 3, H, W]."""
        images = np.concatenate([self._alone, check_minibatch(minibatch, self.image_shape)])
        pairs = len(images) // 2
        self._alone = images[2 * pairs:]
        if pairs:
            images = images[:2 * pairs].transpose(0, 2, 3, 1)
            self._sum += msssim_per_image(images[0::2], images[1::2]).sum()
            self._pairs += pairs

    def end(self, mode: str) -> list[float]:
        """Finish a pass; return [mean similarity]."""
        if not self._pairs:
            raise ConfigError('MS-SSIM compares pairs, but fewer than two images were fed in mode '
                              f'{mode!r}. Feed more before end().')
        return [self._sum / self._pairs]
