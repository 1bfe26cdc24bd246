"""Image resizing and warping with bit-identical results to Pillow 3.1.1.

Later versions resize in integers and warp from pixel centres, so some pixels differ by one level.
The precision and order of each operation were determined by comparison with Pillow 3.1.1 (its plain
x86-64 build, without fused multiply-adds); `tests/golden/celebahq/` holds outputs of it. In the
comments, f32() means rounding to float32; everything else is float64.

For speed, both filters process lines or tiles that fit into the processor's cache. They can be
chained (`transform_columns`, `resize_lines`), so that the large intermediate image never exists as
a whole.
"""
import collections
import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

TILE = 128  # side of a tile in output pixels; each float64 array of a tile takes 128 kB

# --------------------------------------------------------------------------------------------------
# Lanczos.


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Image.resize(size, Image.ANTIALIAS), i.e. with the Lanczos filter.

    Args:
        image: uint8 [H, W] or [H, W, C].
        size: (width, height) of the result.

    Returns:
        uint8 [height, width] or [height, width, C]
    """
    (width, height), shape = size, image.shape
    if shape[:2] == (height, width):
        return image.copy()
    columns = np.ascontiguousarray(image.reshape(*shape[:2], -1).transpose(1, 2, 0))
    columns = np.stack([*resize_lines(columns, shape[1], width)])
    rows = np.ascontiguousarray(columns.transpose(2, 1, 0))
    rows = np.stack([*resize_lines(rows, shape[0], height)])
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(height, width, *shape[2:])


def resize_lines(lines: Iterable[np.ndarray], num_lines: int,
                 new_num_lines: int) -> Iterator[np.ndarray]:
    """One of the two passes: resample a stream of lines of pixels to another number of lines.

    Only the lines within the filter's support are in memory.

    Args:
        lines: uint8 arrays of the same shape.
        num_lines: number of input lines.
        new_num_lines: number of output lines.

    Yields:
        uint8 arrays of the same shape.
    """
    lines = iter(lines)
    window: collections.deque[np.ndarray] = collections.deque()
    first = 0
    for start, taps in lanczos_taps(num_lines, new_num_lines):
        while first + len(window) < start + len(taps):
            window.append(next(lines).astype(np.float32))
        while first < start:
            window.popleft()
            first += 1
        total = np.full_like(window[0], 0.5)
        product = np.empty_like(total)
        for line, tap in zip(window, taps):
            np.multiply(line, tap, out=product)
            total += product
        yield np.clip(total, 0, 255, out=total).astype(np.uint8)  # truncates


@functools.lru_cache(maxsize=8)
def lanczos_taps(size: int, new_size: int) -> list[tuple[int, np.ndarray]]:
    """Filter taps of each pixel of a resized line.

    Returns:
        For each output pixel, (number of the first input pixel, float32 factors from there on).
    """
    scale = float(np.float32(size / new_size))
    stretch = max(scale, 1.0)  # of the filter; 1 for enlarging, where it interpolates
    support, shrink = float(np.float32(3 * stretch)), float(np.float32(1 / stretch))
    centers = ((np.arange(new_size) + 0.5) * scale).astype(np.float32).astype(np.float64)
    starts = np.maximum(np.floor(centers - support), 0).astype(int)
    ends = np.minimum(np.ceil(centers + support), size).astype(int)
    pixels = starts[:, np.newaxis] + np.arange((ends - starts).max())
    offsets = (pixels - centers[:, np.newaxis]).astype(np.float32).astype(np.float64)
    weights = (_lanczos(((offsets + 0.5) * shrink).astype(np.float32)) * shrink).astype(np.float32)
    weights[pixels >= ends[:, np.newaxis]] = 0
    totals = np.zeros(new_size, np.float32)
    for column in weights.T:
        totals += column
    factors = (weights * (1.0 / totals.astype(np.float64))[:, np.newaxis]).astype(np.float32)
    return [(start, row[:end - start])
            for start, end, row in zip(starts.tolist(), ends.tolist(), factors)]


def _lanczos(x):
    """sinc(x) sinc(x / 3) for -3 <= x < 3, else 0.

    x: float32. Returns float32 values as float64.
    """
    values = (_sinc(x) * _sinc((x.astype(np.float64) / 3).astype(np.float32))).astype(np.float32)
    return np.where((x >= -3) & (x < 3), values, np.float32(0)).astype(np.float64)


def _sinc(x):
    """sin(pi x) / (pi x) of float32; returns float32 values as float64."""
    angles = (x.astype(np.float64) * math.pi).astype(np.float32).astype(np.float64)
    # On some processors the last bits of NumPy's sine differ from the C library's.
    sines = np.reshape([math.sin(angle) for angle in angles.ravel().tolist()], angles.shape)
    values = np.divide(sines, angles, out=np.ones_like(angles), where=angles != 0)
    return values.astype(np.float32).astype(np.float64)


# --------------------------------------------------------------------------------------------------
# QUAD.


def transform(image: np.ndarray, size: tuple[int, int],
              data: Sequence[float] | np.ndarray) -> np.ndarray:
    """Image.transform(size, Image.QUAD, data, Image.BILINEAR).

    Warps a quadrilateral of the image to a rectangle.

    Args:
        image: uint8 [H, W] or [H, W, C].
        size: (width, height) of the result.
        data: float32 [8]: x and y of the corners that are mapped to the upper left, lower left,
            lower right and upper right corner.

    Returns:
        uint8 [height, width] or [height, width, C]; 0 where the quadrilateral is outside of the
            image.
    """
    columns = np.stack([*transform_columns(image, size, data)])  # [width, C, height]
    rows = np.ascontiguousarray(columns.transpose(2, 0, 1))
    return rows.reshape(size[1], size[0], *image.shape[2:])


def transform_columns(image: np.ndarray, size: tuple[int, int],
                      data: Sequence[float] | np.ndarray) -> Iterator[np.ndarray]:
    """`transform` as a stream of columns, from left to right: uint8 [C, height] each."""
    width, height = size
    x_terms, y_terms = _coefficients(size, data)
    planes = image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)
    planes = np.pad(planes, [(0, 0), (1, 1), (1, 1)], mode='edge')
    for left in range(0, width, TILE):
        x = np.arange(left, min(left + TILE, width), dtype=np.float64)
        strip = np.empty([len(x), len(planes), height], np.uint8)
        for top in range(0, height, TILE):
            y = np.arange(top, min(top + TILE, height), dtype=np.float64)
            u, v = _positions(x_terms, x, y), _positions(y_terms, x, y)
            _fill_tile(strip[:, :, top:top + TILE], planes, u, v)
        yield from strip


def _coefficients(size, data):
    """Coefficients of the bilinear functions from output x, y to input x and input y.

    Returns two tuples of four floats; see `_positions`.
    """
    northwest, southwest, southeast, northeast = np.asarray(data, np.float32).reshape(4, 2)
    per_x, per_y = 1.0 / size[0], 1.0 / size[1]
    # Rounded to float32 after each step, like the other differences.
    both = southeast - southwest - northeast + northwest
    right, down = northeast - northwest, southwest - northwest
    return [
        (float(northwest[axis]), float(right[axis]) * per_x, float(down[axis]) * per_y,
         float(both[axis]) * per_x * per_y)
        for axis in (0, 1)
    ]


def _positions(coefficients, x, y):
    """a + b x + c y + d x y, added from left to right: float64 [len(x), len(y)]."""
    a, b, c, d = coefficients
    total = np.add.outer(a + b * x, c * y)
    total += np.multiply.outer(d * x, y)
    return total


def _fill_tile(tile, planes, u, v):
    """Interpolate the pixels at the given positions.

    Args:
        tile: uint8 [X, C, Y], the output.
        planes: uint8 [C, 1 + H + 1, 1 + W + 1], the image with its edge pixels repeated.
        u, v: float64 [X, Y], positions in the image from the left and from the top; modified.
    """
    outside = _move_inside(u, planes.shape[2] - 2) | _move_inside(v, planes.shape[1] - 2)
    columns, rows = _split(u), _split(v)  # now u and v are the fractions
    left, top = int(columns.min()), int(rows.min())
    right, bottom = int(columns.max()), int(rows.max())
    # Pair each pixel with the difference to its right neighbour in a complex number, so that one
    # look-up fetches both.
    part = planes[:, top + 1:bottom + 3, left + 1:right + 3].astype(np.float64)
    pairs = np.empty([*part.shape[:2], part.shape[2] - 1], np.complex128)
    pairs.real = part[..., :-1]
    np.subtract(part[..., 1:], part[..., :-1], out=pairs.imag)
    rows -= top
    rows *= pairs.shape[2]
    rows += columns
    rows -= left
    index = rows.astype(np.intp)
    fetched, upper, lower = np.empty(u.shape, np.complex128), np.empty_like(u), np.empty_like(u)
    for channel, plane in enumerate(pairs.reshape(len(pairs), -1)):
        for values, pixels in ((upper, plane), (lower, plane[pairs.shape[2]:])):
            # The fastest mode; no index is out of range.
            np.take(pixels, index, out=fetched, mode='wrap')
            np.multiply(fetched.imag, u, out=values)
            values += fetched.real
        lower -= upper
        lower *= v
        upper += lower
        tile[:, channel] = upper.astype(np.uint8)  # truncates
    if outside is not False:
        tile.transpose(0, 2, 1)[outside] = 0


def _move_inside(positions, size):
    """Set positions outside of 0 <= p < size to 0, in place.

    Returns a bool mask of these positions, or False if there are none.
    """
    if positions.min() >= 0 and positions.max() < size:
        return False
    outside = (positions < 0) | (positions >= size)
    positions[outside] = 0
    return outside


def _split(positions):
    """Split p - 1/2: return its floor, and replace p by its fraction."""
    positions -= 0.5
    whole = np.floor(positions)
    positions -= whole
    return whole
