"""Resolutions: width = height of an image in pixels, a power of two, at least 4."""
import numbers


def is_resolution(value: object) -> bool:
    """Return whether `value` is an integer power of two of at least 4."""
    if not isinstance(value, numbers.Integral):
        return False
    return int(value) >= 4 and int(value) & (int(value) - 1) == 0


def log2_of(size: int) -> int:
    """Return the exact base-2 logarithm of a power of two; of other integers, its floor."""
    return int(size).bit_length() - 1
