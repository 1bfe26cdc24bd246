"""Decoding JPEG files as IJG libjpeg 8d does, bit for bit.

libjpeg-turbo, which every current Pillow is built with, enlarges subsampled chroma with a triangle
filter, libjpeg 7 to 9 with a larger inverse DCT: most photographs decode to other pixels, by up to
127 levels. The PyPI package jpeglib (MPL-2.0) carries libjpeg 8d in its wheels. Its own Python
functions keep global state and give up on files of more than 50 markers, so the library inside is
called directly.
"""
import ctypes
import functools
import glob
import importlib.util
import os
from collections.abc import Callable

import numpy as np

from pgan.data.decoding import opened
from pgan.errors import ConfigError, DataError

LIBRARY = os.path.join('cjpeglib', 'cjpeglib_8d.*')  # inside the package
_COLOURS = {'RGB': 2, 'L': 1}  # the numbers of libjpeg's J_COLOR_SPACE
_MISSING = ('CelebA-HQ can only be rebuilt with libjpeg 8d, which comes inside the PyPI package '
            'jpeglib. {}. Install it: pip install -r requirements-celebahq.txt. It has wheels for '
            'Linux on x86-64, macOS and Windows, and none for other machines, e.g. Linux on ARM: '
            'make the data set on one of those, and copy it over.')


@functools.cache
def load_library() -> Callable[..., int]:
    """The decoding function of libjpeg 8d.

    Raises:
        ConfigError: the package jpeglib, or that library in it, is not there or does not load.
    """
    # importing it would load fourteen versions of libjpeg
    spec = importlib.util.find_spec('jpeglib')
    if spec is None:
        raise ConfigError(_MISSING.format('It is not installed'))
    folders = [glob.escape(folder) for folder in spec.submodule_search_locations or ()]
    paths = [path for folder in folders for path in glob.glob(os.path.join(folder, LIBRARY))]
    if not paths:
        place = os.path.dirname(spec.origin or '')
        raise ConfigError(_MISSING.format(f'The one in {place!r} has no {LIBRARY!r}'))
    try:
        function = ctypes.CDLL(paths[0]).read_jpeg_spatial
    except (OSError, AttributeError) as error:
        reason = f'The one that is installed does not load: {error}'
        raise ConfigError(_MISSING.format(reason)) from error
    numbers = [*[ctypes.c_int] * 3, *[ctypes.c_uint] * 2]
    function.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3, *numbers]
    function.restype = ctypes.c_int
    return function


def decode(path: str) -> np.ndarray:
    """Pixels of a JPEG file: uint8 [H, W, 3], or [H, W] if it is grayscale.

    May be called by several threads at a time.

    Raises:
        ConfigError: see `load_library`.
        DataError: the file is missing, damaged, or no such JPEG.
    """
    read = load_library()
    with opened(path, path) as image:
        kind, mode, (width, height) = image.format, image.mode, image.size
    # MPO: a JPEG file with more pictures after it, of which Pillow and libjpeg read the first.
    if kind not in ('JPEG', 'MPO') or mode not in _COLOURS:
        raise DataError(f'{path!r} is {kind} with {mode!r} pixels. Expected a JPEG file, RGB or '
                        'grayscale. Download it again.')
    pixels = np.empty([height, width, 3] if mode == 'RGB' else [height, width], np.uint8)
    # No marker, quantisation table or other colour space is wanted; all flags as they are by
    # default.
    if not read(os.fsencode(path), pixels.ctypes.data, None, None, _COLOURS[mode], -1, -1, 0,
                0xFFFFFFFF):
        raise DataError(f'the JPEG file {path!r} is damaged: libjpeg cannot decode it. Download '
                        'it again.')
    return pixels
