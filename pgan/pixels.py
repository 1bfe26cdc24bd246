"""Pixel operations on NumPy arrays: halving, enlarging and rounding to bytes. `tfutil.ops` has the
same for tensors.
"""
import numpy as np


def box_average(images: np.ndarray) -> np.ndarray:
    """Halve the resolution by averaging 2x2 pixels.

    Args:
        images: float32 or float64 [..., H, W]. H and W are even or 3. Three pixels become two: each
            outer pixel is averaged with the middle one.

    Returns:
        [..., H/2, W/2] of the same dtype.
    """
    top, bottom = images[..., 0::2, :], images[..., 1::2, :]
    # The golden numbers of all callers depend on this order of additions.
    return (top[..., 0::2] + top[..., 1::2] + bottom[..., 0::2] + bottom[..., 1::2]) * 0.25


def repeat_pixels(images: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel of [..., H, W] factor x factor times."""
    if factor == 1:
        return images
    return images.repeat(factor, axis=-2).repeat(factor, axis=-1)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round half to even and clip to 0..255. uint8 arrays are returned unchanged."""
    return images if images.dtype == np.uint8 else np.rint(images).clip(0, 255).astype(np.uint8)
