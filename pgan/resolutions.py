"""Resolutions: image width = height in pixels, a power of two of at least 4."""
import numbers
from collections.abc import Sequence

LARGEST = 1024  # largest resolution that is ever recommended


def is_resolution(value: object) -> bool:
    """Return whether `value` is an integer power of two of at least 4."""
    if not isinstance(value, numbers.Integral):
        return False
    return int(value) >= 4 and int(value) & (int(value) - 1) == 0


def log2_of(size: int) -> int:
    """Return the exact base-2 logarithm of a power of two; of other integers, its floor."""
    return int(size).bit_length() - 1


def reached_by_most(sides: Sequence[int], least: int = 4) -> int:
    """Largest resolution that more than half of the pictures reach.

    Args:
        sides: shorter side of each picture in pixels.
        least: result if most pictures are smaller.

    Returns:
        A resolution from `least` to LARGEST.
    """
    size = LARGEST
    while size > least and 2 * sum(side >= size for side in sides) <= len(sides):
        size //= 2
    return size
