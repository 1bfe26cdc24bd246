"""Sliced Wasserstein distance between Laplacian pyramids (paper, section 5).

It tells how alike two sets of images are, per scale. Each level of an image's Laplacian pyramid
(Burt and Adelson 1983) gives 128 neighbourhoods of 7x7 pixels. The distance of two sets of them is
measured along random directions, where optimal transport is a matter of sorting (Rabin et al.
2011).

All random numbers come from NumPy's global stream, in the order of the original: after the same
np.random.seed the values are the same.
"""
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics.feeding import check_minibatch, check_mode, check_setting, in_threads, shares, slices
from pgan.errors import ConfigError

# Projections of one set that are sorted at a time; two sets of them are held, 270 MB. 2^25 is 16
# directions of 16384 images.
_PROJECTIONS = 1 << 25
# Floats of an image level that one thread works on at a time: what the processor's caches hold.
_BLOCK = 1 << 16


# --------------------------------------------------------------------------------------------------
# Laplacian pyramids. The 5x5 binomial kernel is the outer product of [1, 4, 6, 4, 1] / 16 with
# itself: one axis after the other.

def pyr_down(minibatch: np.ndarray) -> np.ndarray:
    """Blur with the 5x5 binomial kernel and take every second pixel, as cv2.pyrDown does.

    Borders are mirrored.

    Args:
        minibatch: float32 [N, C, H, W].

    Returns:
        float32 [N, C, ceil(H / 2), ceil(W / 2)].
    """
    return _down(_down(minibatch, 2), 3)


def pyr_up(minibatch: np.ndarray) -> np.ndarray:
    """Insert zeros between pixels and blur, as cv2.pyrUp does.

    The filter is four times the 5x5 binomial kernel.

    Args:
        minibatch: float32 [N, C, H, W].

    Returns:
        float32 [N, C, 2H, 2W].
    """
    return _up(_up(minibatch, 2), 3)


def _along(x, axis, *which):
    """A view of some pixels along an axis."""
    return x[(slice(None),) * axis + (slice(*which),)]


def _pad(x, axis, left, right):
    """Mirror about the first pixels (not repeating them), likewise about the last."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (left, right)
    return np.pad(x, widths, 'reflect')


def _down(x, axis):
    """Every second pixel of the blurred axis, and no others."""
    size = x.shape[axis]
    x = _pad(x, axis, 2, 2)
    tap = [_along(x, axis, offset, offset + size, 2) for offset in range(5)]
    out = tap[1] + tap[3]
    out *= np.float32(4 / 16)
    out += tap[2] * np.float32(6 / 16)
    out += (tap[0] + tap[4]) * np.float32(1 / 16)
    return out


def _up(x, axis):
    """Twice as many pixels.

    Of the five taps, three meet pixels at even positions and two at odd ones; the others meet
    zeros.
    """
    shape = list(x.shape)
    shape[axis] *= 2
    out = np.empty(shape, np.float32)
    # The mirror lies on the last zero, so on that side the last pixel appears once more.
    first = _along(_pad(x, axis, 1, 0), axis, 0, 1)
    last = _along(x, axis, x.shape[axis] - 1, None)
    padded = np.concatenate([first, x, last], axis=axis)
    before, after = _along(padded, axis, 0, -2), _along(padded, axis, 2, None)
    even, odd = _along(out, axis, 0, None, 2), _along(out, axis, 1, None, 2)
    np.add(before, after, out=even)
    even *= np.float32(1 / 8)
    even += x * np.float32(6 / 8)
    np.add(x, after, out=odd)
    odd *= np.float32(4 / 8)
    return out


def generate_laplacian_pyramid(minibatch: np.ndarray, num_levels: int) -> list[np.ndarray]:
    """What each scale adds to the next coarser one; the last level is the blurred image itself.

    Args:
        minibatch: [N, C, H, W] of any type; H and W divisible by 2^(num_levels - 1).
        num_levels: number of levels, 1 or more.

    Returns:
        A list of float32 [N, C, H / 2^i, W / 2^i].
    """
    pyramid = [np.asarray(minibatch, np.float32)]
    for _ in range(1, num_levels):
        pyramid.append(pyr_down(pyramid[-1]))
        pyramid[-2] = pyramid[-2] - pyr_up(pyramid[-1])
    return pyramid


# --------------------------------------------------------------------------------------------------
# Descriptors: neighbourhoods of pixels.

def get_descriptors_for_minibatch(minibatch: np.ndarray, nhood_size: int,
                                  nhoods_per_image: int) -> np.ndarray:
    """Cut neighbourhoods out of images at random places.

    Args:
        minibatch: float32 [N, 3, H, W].
        nhood_size: side of a neighbourhood, odd, at most min(H, W) - 1.
        nhoods_per_image: how many of each image.

    Returns:
        float32 [N * nhoods_per_image, 3, nhood_size, nhood_size]; the last two axes are x and y,
            in this order.
    """
    image, x, y = _draw_places(minibatch.shape, nhood_size, nhoods_per_image)
    return _cut(minibatch, nhood_size, image, x, y)


def _draw_places(shape, nhood_size, nhoods_per_image):
    """Image, left edge and top edge of each neighbourhood."""
    half, count = nhood_size // 2, shape[0] * nhoods_per_image
    x = np.random.randint(half, shape[3] - half, size=(count, 1, 1, 1)).ravel() - half
    y = np.random.randint(half, shape[2] - half, size=(count, 1, 1, 1)).ravel() - half
    return np.arange(count) // nhoods_per_image, x, y


def _cut(minibatch, nhood_size, image, x, y):
    """Copy the neighbourhoods at given places."""
    # The columns of a neighbourhood come before its rows: random directions meet them in this
    # order.
    turned = np.ascontiguousarray(minibatch.swapaxes(2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(turned, (nhood_size, nhood_size), (2, 3))
    return windows[image, :, x, y]


def finalize_descriptors(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Make each channel's mean 0 and its standard deviation 1, over all neighbourhoods.

    A channel without variation, such as an empty one, becomes 0.

    Args:
        parts: list of float32 [n, C, S, S], the descriptors of some images each. Changed in place.

    Returns:
        List of the same arrays as [n, C * S * S].
    """
    mean = _channel_means(parts, lambda part: part)

    def center(part):
        part -= mean
    in_threads(center, parts)
    deviation = np.sqrt(_channel_means(parts, np.square))
    constant = _constant_channels(parts, deviation)
    deviation[constant] = 1

    def scale(part):
        part /= deviation
        part[:, constant] = 0  # The rounded mean is not always the value itself.
        return part.reshape(len(part), -1)
    return in_threads(scale, parts)


def _constant_channels(parts, deviation):
    """Whether each channel has one value only, bool [C]."""
    def is_constant(channel):
        first = parts[0][0, channel, 0, 0]
        return all((part[:, channel] == first).all() for part in parts)
    # Rounding of the mean moves a constant by far less than this; no time for the other channels.
    small = deviation.ravel() < 0.1
    return np.array([is_small and is_constant(channel) for channel, is_small in enumerate(small)])


def _channel_means(parts, function):
    """Mean of function(x) per channel, float32 [C, 1, 1].

    Summed in the order of np.mean(x, axis=(0, 2, 3)), in float32. A sum in float64 would be better
    by up to 1e-4, but no longer the original's, and would show in the third decimal of the
    distance.
    """
    def row_sums(part):
        return function(part).reshape(*part.shape[:2], -1).sum(axis=2)
    rows = np.concatenate(in_threads(row_sums, parts))
    return (rows.sum(axis=0) / np.float32(len(rows) * parts[0][0, 0].size))[:, None, None]


# --------------------------------------------------------------------------------------------------
# The distance.

def sliced_wasserstein(A: np.ndarray | list[np.ndarray], B: np.ndarray | list[np.ndarray],
                       dir_repeats: int, dirs_per_repeat: int) -> float:
    """Mean distance of two sets of points along random directions.

    Args:
        A: float32 [N, D], or a list of such that together make [N, D].
        B: the same, as many points.
        dir_repeats: how many times directions are drawn.
        dirs_per_repeat: directions drawn at a time.

    Returns:
        float, 0 or more: the mean over directions of the 1-Wasserstein distance between the
        projections.

    Raises:
        ConfigError: A and B differ in N or D.
    """
    A, B = ([points] if isinstance(points, np.ndarray) else points for points in (A, B))
    sizes = [(sum(map(len, points)), points[0].shape[1]) for points in (A, B)]
    if sizes[0] != sizes[1]:
        raise ConfigError('The sliced Wasserstein distance compares sets of equal size. Expected '
                          f'two of [N, D]. Received: {list(sizes[0])} and {list(sizes[1])}. Feed '
                          'as many images to one pass as to the other.')
    total, at_a_time = 0.0, max(1, _PROJECTIONS // sizes[0][0])
    for _ in range(dir_repeats):
        directions = _draw_directions(sizes[0][1], dirs_per_repeat)
        for part in slices(dirs_per_repeat, at_a_time):
            a, b = (_project(points, directions[:, part]) for points in (A, B))
            total += _distances(a, b).sum()
    return float(total / (dir_repeats * dirs_per_repeat))


def _draw_directions(dim, count):
    """Random unit vectors, float32 [dim, count]."""
    directions = np.random.randn(dim, count)
    directions /= np.sqrt(np.sum(np.square(directions), axis=0, keepdims=True))
    return directions.astype(np.float32)


def _project(points, directions):
    """Sorted projections of a list of [n, D]: float32 [directions, N].

    Rows are contiguous, which sorts eight times faster than columns.
    """
    out = np.empty((directions.shape[1], sum(map(len, points))), np.float32)
    start = 0
    for part in points:
        out[:, start:start + len(part)] = directions.T @ part.T
        start += len(part)
    in_threads(lambda rows: out[rows].sort(axis=1), shares(len(out)))
    return out


def _distances(a, b):
    """Mean absolute differences of rows, float64; overwrites `a`."""
    def some(rows):
        difference = np.subtract(a[rows], b[rows], out=a[rows])
        return np.abs(difference, out=difference).mean(axis=1, dtype=np.float64)
    return np.concatenate(in_threads(some, shares(len(a))))


class API:
    """SWDx1e3_<resolution> for each level from the full resolution down to 16, and SWDx1e3_avg.

    A pass in mode 'reals' (or 'warmup') becomes what later ones are compared with, and results in
    zeros, its distance to itself; random numbers are drawn for it as for any other, so that seeds
    give what they gave in the original.

    Descriptors take 128 * 147 * 4 bytes per image and level: 8.6 GB for 16384 images of 1024x1024,
    and as much again for the reals.
    """
    higher_is_better = False
    judged_by = 'SWDx1e3_avg'

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, nhood_size: int = 7, nhoods_per_image: int = 128,
                 dir_repeats: int = 4, dirs_per_repeat: int = 128) -> None:
        """See `metrics` for the first four arguments.

        Args:
            nhood_size: side of the neighbourhoods in pixels, odd.
            nhoods_per_image: neighbourhoods of each image and level.
            dir_repeats, dirs_per_repeat: as in `sliced_wasserstein`.

        Raises:
            ConfigError: images that have no level of 16 pixels, or that cannot be halved down to
                it; see `check_setting` for others.
        """
        check_setting(num_images, image_shape, image_dtype, minibatch_size)
        self.nhood_size = nhood_size
        self.nhoods_per_image = nhoods_per_image
        self.dir_repeats = dir_repeats
        self.dirs_per_repeat = dirs_per_repeat
        self.image_shape = tuple(image_shape)
        self.resolutions = _resolutions(self.image_shape)
        self._reals: list[list[np.ndarray]] | None = None

    def get_metric_names(self) -> list[str]:
        return [f'SWDx1e3_{resolution}' for resolution in self.resolutions] + ['SWDx1e3_avg']

    def get_metric_formatting(self) -> list[str]:
        return ['%-13.4f'] * len(self.get_metric_names())

    def begin(self, mode: str) -> None:
        """Start a pass: 'warmup', 'reals' or 'fakes'."""
        check_mode(mode)
        if mode == 'fakes' and self._reals is None:
            raise ConfigError('There is nothing to compare these images with. Expected a pass of '
                              "mode 'reals' before the first of mode 'fakes'. Feed real images "
                              'first.')
        if mode != 'fakes':
            self._reals = None  # Their memory is needed.
        self._parts: list[list[np.ndarray]] = [[] for _ in self.resolutions]

    def feed(self, mode: str, minibatch: npt.ArrayLike) -> None:
        """Take descriptors of a minibatch, uint8 [N, 3, H, W]; its pyramid is not kept."""
        minibatch = check_minibatch(minibatch, self.image_shape)
        some = slices(len(minibatch), max(1, _BLOCK // minibatch[0].size))
        images = [minibatch[part] for part in some]
        num_levels = len(self.resolutions)
        pyramids = in_threads(lambda part: generate_laplacian_pyramid(part, num_levels), images)
        for level, parts in enumerate(self._parts):
            whole = np.concatenate([pyramid[level] for pyramid in pyramids])
            parts.append(
                get_descriptors_for_minibatch(whole, self.nhood_size, self.nhoods_per_image))

    def end(self, mode: str) -> list[float]:
        """Finish a pass; return the distances times 1000, one per name."""
        if not self._parts[0]:
            raise ConfigError(f'No images were fed in mode {mode!r}. Feed at least one minibatch '
                              'before end().')
        descriptors = [finalize_descriptors(parts) for parts in self._parts]
        self._parts = [[] for _ in self.resolutions]
        if mode != 'fakes' or self._reals is None:
            self._reals = descriptors
        distances = [self._distance(reals, fakes) for reals, fakes in zip(self._reals, descriptors)]
        return [distance * 1e3 for distance in [*distances, np.mean(distances)]]

    def _distance(self, reals, fakes):
        """Of one level."""
        if reals is not fakes:
            return np.float64(
                sliced_wasserstein(reals, fakes, self.dir_repeats, self.dirs_per_repeat))
        for _ in range(self.dir_repeats):  # It is 0; only the random stream has to move on.
            np.random.randn(reals[0].shape[1], self.dirs_per_repeat)
        return np.float64(0)


def _resolutions(image_shape):
    """Heights of the levels, the finest first."""
    _, height, width = image_shape
    resolutions = []
    while height >= 16 and width >= 16:
        resolutions.append(height)
        if height % 2 or width % 2:
            break
        height, width = height // 2, width // 2
    if not resolutions or (height >= 16 and width >= 16):
        raise ConfigError('The sliced Wasserstein distance halves images down to 16 pixels. '
                          'Expected sides that are powers of 2, at least 16. Received: '
                          f'{image_shape[2]}x{image_shape[1]} (width x height). Leave out this '
                          'metric, or resize the images.')
    return resolutions
