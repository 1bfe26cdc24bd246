"""Decoding image files with Pillow, and making squares of them."""
import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pgan.errors import ConfigError, DataError, UserError
from pgan.resolutions import is_resolution

# of a square; Pillow by itself believes images of half as many pixels to be attacks
MAX_SIDE = 16384

DEEP_GRAY = ('I;16', 'I;16L', 'I;16B', 'I;16N')
GRAY = ('1', 'L', 'LA', 'La', *DEEP_GRAY)
NUMBERS = ('I', 'F')  # of which nobody knows what is black and what is white
_NOT_THE_FILES_FAULT = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@contextlib.contextmanager
def opened(file: str | os.PathLike | IO[bytes], name: str) -> Iterator[Image.Image]:
    """Open an image and read its header. In the block, all of Pillow's errors become DataErrors.

    Args:
        file: path, or file object.
        name: what to call it in messages.

    Raises:
        DataError: the file is no image, is damaged or is too large.
        UserError: the machine lacks memory, or its disk has failed; that says nothing about the
            image.
    """
    try:
        with _pillows_limit_lifted(), Image.open(file) as image:
            if image.width * image.height > MAX_SIDE ** 2:
                raise DataError(f'the image {name!r} is too large: {image.width}x{image.height}. '
                                f'Expected at most {MAX_SIDE}x{MAX_SIDE}.')
            yield image
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f'{name!r} is not an image that Pillow can read.') from error
    except MemoryError as error:
        raise UserError(f'there is not enough memory to decode the image {name!r}.') from error
    # Pillow reports damaged files with a wide range of exceptions, SyntaxError among them.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
            raise UserError(f'the image {name!r} cannot be read now: {error.strerror}.') from error
        raise DataError(
            f'the image {name!r} cannot be read: {error or type(error).__name__}.') from error


class _PillowsLimit:
    """Pillow's limit on image size, lifted while anybody uses it.

    All threads share it. Pillow looks at it when it opens and when it decodes an image.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: int | None = None

    def lift(self):
        with self._lock:
            if self._users == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._users += 1

    def restore(self):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                Image.MAX_IMAGE_PIXELS = self._limit


_LIMIT = _PillowsLimit()


@contextlib.contextmanager
def _pillows_limit_lifted():
    _LIMIT.lift()
    try:
        yield
    finally:
        _LIMIT.restore()


def mode_of(image: Image.Image) -> str:
    """The image's mode; for gray images of 16 bits always one in DEEP_GRAY."""
    return 'I;16' if image.mode == 'I' and image.format in ('PPM', 'PNG') else image.mode


def check_resolution(resolution: int) -> None:
    """Raise ConfigError unless it is a resolution that a data set can have."""
    if not is_resolution(resolution):
        raise ConfigError('--resolution must be a power of two, at least 4. Received: '
                          f'{resolution}.')


def to_chw(pixels: np.ndarray) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] as [C, H, W]."""
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def centre_square(pixels: np.ndarray, resolution: int) -> np.ndarray:
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


def upright_pixels(image: Image.Image, gray: bool) -> np.ndarray:
    """An image of any kind as 8-bit gray or RGB, turned as its EXIF data say.

    What is transparent is laid onto white.

    Args:
        image: as Pillow opens it, in any mode but those in NUMBERS.
        gray: whether to give gray; only for the modes in GRAY.

    Returns:
        uint8 [H, W] if gray, else [H, W, 3]
    """
    is_deep = mode_of(image) in DEEP_GRAY
    image = ImageOps.exif_transpose(image)
    if is_deep:
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = _on_white(image.convert('RGBA'))
    return np.asarray(image.convert('L' if gray else 'RGB'))


def _on_white(image: Image.Image) -> Image.Image:
    background = Image.new('RGBA', image.size, 'white')
    background.alpha_composite(image)
    return background
