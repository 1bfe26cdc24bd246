"""The Gaussian filter of SciPy 1.0, bit for bit and several times faster.

SciPy adds up several hundred products per pixel, one after another. A matrix product does the same
work many times faster, but adds up in another order, so that the float64 sum differs in its last
bits. The result is that sum rounded to float32, which almost never sees these bits: only when it
lies next to the middle between two float32 numbers. The largest difference possible is known, so
the few pixels for which it could matter can be told, and SciPy computes those.
"""
import math

import numpy as np
import scipy.ndimage

BLOCK = 64  # outputs of one matrix product
COLUMNS = 256  # taken at a time
ROUNDING = 2.0 ** -53  # the largest relative error of one float64 operation


def gaussian_weights(sigma: float) -> np.ndarray:
    """The kernel: float64 [2 radius + 1].

    Today's SciPy computes it with NumPy's exp, which differs in last bits.
    """
    radius = int(4.0 * sigma + 0.5)
    pixels = range(-radius, radius + 1)
    weights = np.array([math.exp(-0.5 / (sigma * sigma) * x**2) for x in pixels])
    return weights / weights.sum()


def gaussian_blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """scipy.ndimage.gaussian_filter(plane, sigma) of SciPy 1.0.

    It goes first along columns, then along rows, mirrored at the edges.

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

    Weights are symmetric and positive, values not negative.
    """
    radius = len(weights) // 2
    matrix = np.zeros([BLOCK, BLOCK + 2 * radius])
    for row, line in enumerate(matrix):
        line[row:row + len(weights)] = weights
    # Rounding makes an error of at most n + 1 times that of one operation in a sum of n products of
    # positive numbers, in whatever order. For both ways of adding up together, and twice that for
    # good measure:
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
