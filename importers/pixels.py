"""Decoding image files with Pillow, and making squares of them."""
import contextlib
import threading

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from errors import ConfigError, DataError

# More than Pillow takes by itself, which believes images of 16384x16384 to be attacks.
MAX_SIDE = 16384
_PILLOWS_LIMIT = threading.Lock()  # for as long as Pillow's limit, which is global, is lifted

DEEP_GRAY = ('I;16', 'I;16L', 'I;16B', 'I;16N')
GRAY = ('1', 'L', 'LA', 'La', *DEEP_GRAY)
NUMBERS = ('I', 'F')  # of which nobody knows what is black and what is white


@contextlib.contextmanager
def opened(file, name):
    """An image, of which only the header has been read. Whatever Pillow reports, now or within the block, becomes a DataError.

    Args:
        file: path, or file object.
        name: what to call it in messages.
    """
    try:
        with _open(file) as image:
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f'{name!r} is not an image that Pillow can read.') from error
    except Image.DecompressionBombError as error:
        raise DataError(f'the image {name!r} is too large. Expected at most {MAX_SIDE}x{MAX_SIDE}.') from error
    # Pillow reports damaged files with a wide range of exceptions, SyntaxError among them.
    except Exception as error:
        raise DataError(f'the image {name!r} cannot be read: {error}.') from error


def _open(file):
    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_SIDE ** 2
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_resolution(resolution):
    """Raise ConfigError unless it is a resolution that a data set can have."""
    if resolution < 4 or resolution & (resolution - 1):
        raise ConfigError(f'--resolution must be a power of two, at least 4. Received: {resolution}.')


def to_chw(pixels):
    """Pixels [H, W] or [H, W, C] as [C, H, W]."""
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def centre_square(pixels, resolution):
    """The largest square in the middle of an image, resized with Pillow's Lanczos filter.

    Args:
        pixels: uint8 [H, W] or [H, W, 3].
        resolution: of the result, R.

    Returns:
        uint8 [C, R, R]
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top:top + side, left:left + side]))
    return to_chw(np.asarray(square.resize((resolution, resolution), Image.Resampling.LANCZOS)))


def upright_pixels(image, gray):
    """An image of any kind as 8-bit gray or RGB: turned as its EXIF data say, what is transparent laid onto white.

    Args:
        image: as Pillow opens it, in any mode but those in NUMBERS.
        gray: whether to give gray; only for the modes in GRAY.

    Returns:
        uint8 [H, W] if gray, else [H, W, 3]
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_GRAY:
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = _on_white(image.convert('RGBA'))
    return np.asarray(image.convert('L' if gray else 'RGB'))


def _on_white(image):
    background = Image.new('RGBA', image.size, 'white')
    background.alpha_composite(image)
    return background
