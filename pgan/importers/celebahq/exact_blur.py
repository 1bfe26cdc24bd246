"""Gaussian filter with bit-identical results to SciPy 1.0, but several times faster.

SciPy adds several hundred products per pixel sequentially. A matrix product is much faster, but
adds in a different order, so the last bits of the float64 sum differ. The sum is then rounded to
float32, where the difference matters only near the midpoint of two float32 numbers. An upper bound
of the difference is known. It identifies the few pixels that may be affected, and SciPy recomputes
those.
"""
import math

import numpy as np
import scipy.ndimage

BLOCK = 64  # output rows of one matrix product
COLUMNS = 256  # columns of one matrix product
ROUNDING = 2.0 ** -53  # maximum relative error of one float64 operation


def gaussian_weights(sigma: float) -> np.ndarray:
    """Gaussian kernel: float64 [2 radius + 1].

    Newer SciPy versions use NumPy's exp, whose last bits differ.
    """
    radius = int(4.0 * sigma + 0.5)
    pixels = range(-radius, radius + 1)
    weights = np.array([math.exp(-0.5 / (sigma * sigma) * x**2) for x in pixels])
    return weights / weights.sum()


def gaussian_blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """scipy.ndimage.gaussian_filter(plane, sigma) of SciPy 1.0.

    Filters columns, then rows, with mirrored edges.

    Args:
        plane: float32 [H, W], no value below 0.
        sigma: standard deviation in pixels.

    Returns:
        float32 [H, W]
    """
    weights = gaussian_weights(sigma)
    return _correlate(_correlate(plane, weights).T, weights).T


def _correlate(plane, weights):
    """scipy.ndimage.correlate1d(plane, weights, axis=0, mode='reflect').

    The weights must be symmetric and positive, and the values non-negative.
    """
    radius = len(weights) // 2
    matrix = np.zeros([BLOCK, BLOCK + 2 * radius])
    for row, line in enumerate(matrix):
        line[row:row + len(weights)] = weights
    # The relative rounding error of a sum of n products of positive numbers is at most n + 1 times
    # that of one operation, in any order of addition. Add the errors of both orders, and double the
    # sum for safety.
    error = 2 * (matrix.shape[1] + len(weights) + 10) * ROUNDING
    result = np.empty(plane.shape, np.float32)
    for left in range(0, plane.shape[1], COLUMNS):
        lines = np.pad(plane[:, left:left + COLUMNS], [(radius, radius), (0, 0)], mode='symmetric')
        lines = lines.astype(np.float64, order='C')
        for top in range(0, len(plane), BLOCK):
            part = result[top:top + BLOCK, left:left + COLUMNS]
            reach = len(part) + 2 * radius
            sums = matrix[:len(part), :reach] @ lines[top:top + reach]
            part[:] = sums * (1 - error)
            rows, columns = np.nonzero(part != (sums * (1 + error)).astype(np.float32))
            if len(rows):
                windows = lines[top + rows[:, np.newaxis] + np.arange(len(weights)),
                                columns[:, np.newaxis]].astype(np.float32)
                part[rows, columns] = scipy.ndimage.correlate1d(windows, weights, axis=1)[:, radius]
    return result
