"""A folder of image files."""
import glob
import os

import numpy as np
from PIL import Image, UnidentifiedImageError

from errors import DataError
from importers import Source


def load_images(image_dir):
    """All files of a folder, sorted by name: square RGB or grayscale images of one shape, sides a power of two.

    The files are opened one at a time, as they are fetched.

    Raises:
        DataError: no folder, no files, or the first file is not such an image.
    """
    print(f'Loading images from "{image_dir}"')
    if not os.path.isdir(image_dir):
        raise DataError(f'the image folder {image_dir!r} does not exist.')
    paths = sorted(glob.glob(os.path.join(glob.escape(image_dir), '*')))
    if not paths:
        raise DataError(f'No input images found in {image_dir!r}. Expected a folder of PNG or JPEG files.')
    shape = _check_first(paths[0])
    return Source(len(paths), lambda order: (_read_like(paths[index], shape, paths[0]) for index in order))


def read_image(path):
    """One image file as uint8 [C, H, W], C = 3 for RGB and 1 for grayscale.

    Raises:
        DataError: the file is no image, is damaged, or has another kind of pixels.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ('RGB', 'L'):
                raise DataError(f'Input images must be stored as RGB or grayscale, 8 bits a channel. {path!r} is stored as {image.mode!r}; '
                                'convert it, e.g. with Pillow: image.convert("RGB").')
            pixels = np.asarray(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f'{path!r} is not an image that Pillow can read. Move it out of the folder.') from error
    # Pillow reports damaged files with a wide range of exceptions, SyntaxError among them.
    except Exception as error:
        raise DataError(f'the image {path!r} cannot be read: {error}. Replace it or move it out of the folder.') from error
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_first(path):
    shape = read_image(path).shape
    width, height = shape[2], shape[1]
    if width != height:
        raise DataError(f'Input images must have the same width and height. {path!r} is {width}x{height}; crop it to a square.')
    if width < 4 or width & (width - 1):
        raise DataError(f'Input image resolution must be a power-of-two, at least 4. {path!r} is {width}x{height}; resize the images to '
                        f'{1 << max(2, width.bit_length() - 1)}x{1 << max(2, width.bit_length() - 1)} for example.')
    return shape


def _read_like(path, shape, first_path):
    image = read_image(path)
    if image.shape != shape:
        raise DataError(f'Input images must all have one shape. Expected {_describe(shape)} like the first one, {first_path!r}. '
                        f'{path!r} is {_describe(image.shape)}; resize or convert it, or move it out of the folder.')
    return image


def _describe(shape):
    return f'{shape[2]}x{shape[1]} {"RGB" if shape[0] == 3 else "grayscale"}'
