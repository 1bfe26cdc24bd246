"""Decoding of image files with Pillow, and cropping to squares."""
import contextlib
import errno
import io
import os
import re
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from pgan.data.colour_profiles import profile_of
from pgan.errors import ConfigError, DataError, UserError, in_short
from pgan.resolutions import is_resolution

# Largest side of a square image. Pillow's own limit for decompression bombs is lower: it rejects
# images of fewer pixels.
MAX_SIDE = 16384

DEEP_GRAY = ('I;16', 'I;16L', 'I;16B', 'I;16N')
GRAY = ('1', 'L', 'LA', 'La', *DEEP_GRAY)
NUMBERS = ('I', 'F')  # modes without a defined black and white level
_NOT_THE_FILES_FAULT = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_TURNS = {  # transformation by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextlib.contextmanager
def opened(file: str | os.PathLike | IO[bytes], name: str) -> Iterator[Image.Image]:
    """Open an image and read its header. Within the block, Pillow's errors become DataErrors.

    Args:
        file: path, or file object.
        name: name of the image in messages.

    Raises:
        DataError: the file is not an image, is damaged or is too large.
        UserError: the machine is out of memory, or the disk failed; the image may be intact.
    """
    try:
        with _pillows_limits_lifted(), _open_image(file) as image:
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
    # Pillow reports damaged files with various exceptions, including SyntaxError.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
            raise UserError(f'the image {name!r} cannot be read now: {error.strerror}.') from error
        reason = in_short(error).rstrip('.')
        raise DataError(f'the image {name!r} cannot be read: {reason}.') from error


def _open_image(file):
    """`PIL.Image.open`, but without the EXIF data if libavif rejects the image because of them."""
    try:
        return Image.open(file)
    except ValueError as error:
        if 'exif' not in str(error).lower():
            raise
    if isinstance(file, (str, os.PathLike)):
        with open(file, 'rb') as opened_file:
            data = opened_file.read()
    else:
        file.seek(0)
        data = file.read()
    return Image.open(io.BytesIO(_AVIF_EXIF.sub(rb'\1free', data)))


# Item of type Exif in the item list of an AVIF file: box, version, flags, number and protection,
# type. Decoders ignore items of unknown types.
_AVIF_EXIF = re.compile(rb'(infe[\x02\x03]...(?:..|....)..)Exif', re.DOTALL)


class _PillowsLimits:
    """Pillow's limits for untrusted files, raised while at least one thread is decoding.

    The limits are global. Pillow checks them when it opens and when it decodes an image. They
    restrict the number of pixels, and the unpacked size of a PNG's profile and text chunks.
    """
    _RAISED = ((Image, 'MAX_IMAGE_PIXELS', None), (PngImagePlugin, 'MAX_TEXT_CHUNK', 256 << 20),
               (PngImagePlugin, 'MAX_TEXT_MEMORY', 1 << 30))

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._own: list[int | None] = []

    def lift(self):
        with self._lock:
            if self._users == 0:
                self._own = [getattr(module, name) for module, name, _ in self._RAISED]
                for module, name, limit in self._RAISED:
                    setattr(module, name, limit)
            self._users += 1

    def restore(self):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for (module, name, _), limit in zip(self._RAISED, self._own):
                    setattr(module, name, limit)


_LIMITS = _PillowsLimits()


@contextlib.contextmanager
def _pillows_limits_lifted():
    _LIMITS.lift()
    try:
        yield
    finally:
        _LIMITS.restore()


def mode_of(image: Image.Image) -> str:
    """Mode of the image. For 16-bit grayscale it is always one of DEEP_GRAY."""
    return 'I;16' if image.mode == 'I' and image.format in ('PPM', 'PNG') else image.mode


def check_resolution(resolution: int) -> None:
    """Raise ConfigError unless a data set can have this resolution."""
    if not is_resolution(resolution):
        raise ConfigError('--resolution must be a power of two, at least 4. Received: '
                          f'{resolution}.')


def to_chw(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels [H, W] or [H, W, C] to [C, H, W]."""
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def centre_square(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """Crop the largest centred square and resize it with Pillow's Lanczos filter.

    Args:
        pixels: uint8 [H, W] or [H, W, 3].
        resolution: resolution of the result, R.

    Returns:
        uint8 [C, R, R]
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top:top + side, left:left + side]))
    return to_chw(np.asarray(square.resize((resolution, resolution), Image.Resampling.LANCZOS)))


def upright(image: Image.Image) -> Image.Image:
    """Rotate or flip an image by its EXIF orientation.

    Other EXIF data are ignored, because cameras and editors write malformed tags next to a valid
    orientation. If the orientation itself cannot be read, the image is returned unchanged.
    """
    image.load()
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # malformed EXIF data can raise almost anything; the pixels are intact
        return image
    return image if turn is None else image.transpose(turn)


def upright_pixels(image: Image.Image, gray: bool) -> np.ndarray:
    """Convert any image to 8-bit grayscale or sRGB, upright by its EXIF orientation.

    Transparent pixels are blended with white.

    Args:
        image: an image opened by Pillow, of any mode except those in NUMBERS.
        gray: convert to grayscale; only for the modes in GRAY.

    Returns:
        uint8 [H, W] if gray, else [H, W, 3]
    """
    is_deep, profile = mode_of(image) in DEEP_GRAY, profile_of(image)
    image = upright(image)
    if is_deep:
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert('RGBA')
    if profile is not None:
        image = profile.to_srgb(image)
    if image.mode == 'RGBA':
        image = _on_white(image)
    return np.asarray(image.convert('L' if gray else 'RGB'))


def _on_white(image: Image.Image) -> Image.Image:
    background = Image.new('RGBA', image.size, 'white')
    background.alpha_composite(image)
    return background
