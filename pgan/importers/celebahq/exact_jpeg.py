"""JPEG decoding with bit-identical results to IJG libjpeg 8d.

Pillow is built with libjpeg-turbo, which upsamples chroma with a triangle filter; libjpeg 7 to 9
use a larger inverse DCT. For most photographs the decoded pixels differ, by up to 127 levels. The
wheels of the PyPI package jpeglib (MPL-2.0) contain libjpeg 8d. Its own Python functions use global
state and fail on files with more than 50 markers, so the library is called directly.
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
_COLOURS = {'RGB': 2, 'L': 1}  # values of libjpeg's J_COLOR_SPACE
_MISSING = ('CelebA-HQ can only be rebuilt with libjpeg 8d, which is part of the PyPI package '
            'jpeglib. {}. Install it: pip install -r requirements-celebahq.txt. There are wheels '
            'for Linux on x86-64, macOS and Windows. On other machines, e.g. Linux on ARM, create '
            'the data set on one of those, and copy it.')


@functools.cache
def load_library() -> Callable[..., int]:
    """Load libjpeg 8d and return its decoding function.

    Raises:
        ConfigError: the package jpeglib, or the library in it, is missing or does not load.
    """
    # Importing the package would load fourteen versions of libjpeg.
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
        reason = f'The installed one does not load: {error}'
        raise ConfigError(_MISSING.format(reason)) from error
    numbers = [*[ctypes.c_int] * 3, *[ctypes.c_uint] * 2]
    function.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3, *numbers]
    function.restype = ctypes.c_int
    return function


def decode(path: str) -> np.ndarray:
    """Decode a JPEG file: uint8 [H, W, 3], or [H, W] if it is grayscale. Thread-safe.

    Raises:
        ConfigError: see `load_library`.
        DataError: the file is missing, damaged, or not an RGB or grayscale JPEG file.
    """
    read = load_library()
    with opened(path, path) as image:
        kind, mode, (width, height) = image.format, image.mode, image.size
    # MPO: a JPEG file followed by more images. Pillow and libjpeg read the first one.
    if kind not in ('JPEG', 'MPO') or mode not in _COLOURS:
        raise DataError(f'{path!r} is {kind} with {mode!r} pixels. Expected a JPEG file, RGB or '
                        'grayscale. Download it again.')
    pixels = np.empty([height, width, 3] if mode == 'RGB' else [height, width], np.uint8)
    # No markers, quantization tables or colour conversion; default flags.
    if not read(os.fsencode(path), pixels.ctypes.data, None, None, _COLOURS[mode], -1, -1, 0,
                0xFFFFFFFF):
        raise DataError(f'the JPEG file {path!r} is damaged: libjpeg cannot decode it. Download '
                        'it again.')
    return pixels
