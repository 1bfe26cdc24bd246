"""Sliced Wasserstein distance between Laplacian pyramids (paper, section 5).

It measures the similarity of two sets of images at each scale. From each level of an image's
Laplacian pyramid (Burt and Adelson 1983), 128 neighbourhoods of 7x7 pixels are sampled. The
distance between two sets of neighbourhoods is averaged over random one-dimensional projections, for
which sorting solves the optimal transport problem (Rabin et al. 2011).

All random numbers come from NumPy's global generator, in the order of the original, so the values
for a given np.random.seed are the same.
"""
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics.feeding import check_minibatch, check_mode, check_setting, in_threads, shares, slices
from pgan.errors import ConfigError

# Projections of one set that are sorted at a time. Two sets are in memory, 270 MB. 2^25 corresponds
# to 16 directions of 16384 images.
_PROJECTIONS = 1 << 25
# Floats of an image level that one thread processes at a time, which fit into the caches.
_BLOCK = 1 << 16


# --------------------------------------------------------------------------------------------------
# Laplacian pyramids. The 5x5 binomial kernel is the outer product of [1, 4, 6, 4, 1] / 16 with
# itself, so each axis is filtered separately.

def pyr_down(minibatch: np.ndarray) -> np.ndarray:
    """Blur with the 5x5 binomial kernel and keep every second pixel, as cv2.pyrDown does.

    Borders are mirrored.

    Args:
        minibatch: float32 [N, C, H, W].

    Returns:
        float32 [N, C, ceil(H / 2), ceil(W / 2)].
    """
    return _down(_down(minibatch, 2), 3)


def pyr_up(minibatch: np.ndarray) -> np.ndarray:
    """Insert zeros between pixels and blur with 4x the 5x5 binomial kernel, as cv2.pyrUp does.

    Args:
        minibatch: float32 [N, C, H, W].

    Returns:
        float32 [N, C, 2H, 2W].
    """
    return _up(_up(minibatch, 2), 3)


def _along(x, axis, *which):
    """View of x sliced along an axis."""
    return x[(slice(None),) * axis + (slice(*which),)]


def _pad(x, axis, left, right):
    """Pad an axis by reflection; the edge pixels are not repeated."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (left, right)
    return np.pad(x, widths, 'reflect')


def _down(x, axis):
    """Blur and decimate along an axis; only the pixels that are kept are computed."""
    size = x.shape[axis]
    x = _pad(x, axis, 2, 2)
    tap = [_along(x, axis, offset, offset + size, 2) for offset in range(5)]
    out = tap[1] + tap[3]
    out *= np.float32(4 / 16)
    out += tap[2] * np.float32(6 / 16)
    out += (tap[0] + tap[4]) * np.float32(1 / 16)
    return out


def _up(x, axis):
    """Double the number of pixels along an axis.

    Of the five taps, three fall on pixels at even positions and two at odd positions; the others
    fall on zeros.
    """
    shape = list(x.shape)
    shape[axis] *= 2
    out = np.empty(shape, np.float32)
    # Reflection is about the inserted zero at the end, so there the last pixel is repeated.
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
    """Laplacian pyramid: the difference of each level from the next coarser one, then the coarsest.

    Args:
        minibatch: [N, C, H, W] of any type; H and W divisible by 2^(num_levels - 1).
        num_levels: number of levels, at least 1.

    Returns:
        A list of float32 [N, C, H / 2^i, W / 2^i], finest first.
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
    """Crop neighbourhoods from images at random positions.

    Args:
        minibatch: float32 [N, 3, H, W].
        nhood_size: side of a neighbourhood in pixels, odd, at most min(H, W) - 1.
        nhoods_per_image: number of neighbourhoods per image.

    Returns:
        float32 [N * nhoods_per_image, 3, nhood_size, nhood_size]; the last two axes are x and y,
            in this order.
    """
    image, x, y = _draw_places(minibatch.shape, nhood_size, nhoods_per_image)
    return _cut(minibatch, nhood_size, image, x, y)


def _draw_places(shape, nhood_size, nhoods_per_image):
    """Draw the image number, left edge and top edge of each neighbourhood."""
    half, count = nhood_size // 2, shape[0] * nhoods_per_image
    x = np.random.randint(half, shape[3] - half, size=(count, 1, 1, 1)).ravel() - half
    y = np.random.randint(half, shape[2] - half, size=(count, 1, 1, 1)).ravel() - half
    return np.arange(count) // nhoods_per_image, x, y


def _cut(minibatch, nhood_size, image, x, y):
    """Copy the neighbourhoods at the given positions."""
    # Columns before rows, as in the original: random directions are applied in this order.
    turned = np.ascontiguousarray(minibatch.swapaxes(2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(turned, (nhood_size, nhood_size), (2, 3))
    return windows[image, :, x, y]


def finalize_descriptors(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Normalize each channel to mean 0 and standard deviation 1 over all neighbourhoods.

    A constant channel becomes 0.

    Args:
        parts: list of float32 [n, C, S, S], descriptors of some images each. Modified in place.

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
        part[:, constant] = 0  # The mean of a constant may differ from it by rounding.
        return part.reshape(len(part), -1)
    return in_threads(scale, parts)


def _constant_channels(parts, deviation):
    """Whether each channel is constant, bool [C]."""
    def is_constant(channel):
        first = parts[0][0, channel, 0, 0]
        return all((part[:, channel] == first).all() for part in parts)
    # Skip the slow test where the deviation is far above what rounding of the mean can cause.
    small = deviation.ravel() < 0.1
    return np.array([is_small and is_constant(channel) for channel, is_small in enumerate(small)])


def _channel_means(parts, function):
    """Mean of function(x) per channel, float32 [C, 1, 1].

    Summed in float32, in the order of np.mean(x, axis=(0, 2, 3)). A float64 sum would be more
    accurate by up to 1e-4, but would differ from the original in the third decimal of the distance.
    """
    def row_sums(part):
        return function(part).reshape(*part.shape[:2], -1).sum(axis=2)
    rows = np.concatenate(in_threads(row_sums, parts))
    return (rows.sum(axis=0) / np.float32(len(rows) * parts[0][0, 0].size))[:, None, None]


# --------------------------------------------------------------------------------------------------
# The distance.

def sliced_wasserstein(A: np.ndarray | list[np.ndarray], B: np.ndarray | list[np.ndarray],
                       dir_repeats: int, dirs_per_repeat: int) -> float:
    """Mean distance between two sets of points along random directions.

    Args:
        A: float32 [N, D], or a list of arrays that concatenate to [N, D].
        B: like A, with the same number of points.
        dir_repeats: number of times that directions are drawn.
        dirs_per_repeat: directions per draw.

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
                          'the same number of images to both passes.')
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

    Contiguous rows sort 8x faster than columns.
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

    Later passes are compared with the last pass of mode 'reals' (or 'warmup'). That pass itself
    returns zeros, its distance to itself. Random numbers are drawn for it nevertheless, so that a
    seed gives the same values as in the original.

    Descriptors take 128 * 147 * 4 bytes per image and level: 8.6 GB for 16384 images of 1024x1024,
    and the same again for the reals.
    """
    higher_is_better = False
    judged_by = 'SWDx1e3_avg'

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, nhood_size: int = 7, nhoods_per_image: int = 128,
                 dir_repeats: int = 4, dirs_per_repeat: int = 128) -> None:
        """See `metrics` for the first four arguments.

        Args:
            nhood_size: side of the neighbourhoods in pixels, odd.
            nhoods_per_image: neighbourhoods per image and level.
            dir_repeats, dirs_per_repeat: as in `sliced_wasserstein`.

        Raises:
            ConfigError: the images are smaller than 16 pixels, or cannot be halved down to 16
                pixels; see `check_setting` for other errors.
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
            self._reals = None  # Free the memory before the pass.
        self._parts: list[list[np.ndarray]] = [[] for _ in self.resolutions]

    def feed(self, mode: str, minibatch: npt.ArrayLike) -> None:
        """Sample descriptors from a minibatch, uint8 [N, 3, H, W]."""
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
        """Distance at one level."""
        if reals is not fakes:
            return np.float64(
                sliced_wasserstein(reals, fakes, self.dir_repeats, self.dirs_per_repeat))
        for _ in range(self.dir_repeats):  # The distance is 0; only advance the random generator.
            np.random.randn(reals[0].shape[1], self.dirs_per_repeat)
        return np.float64(0)


def _resolutions(image_shape):
    """Heights of the levels, finest first."""
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
