"""A folder of image files."""
import collections
import contextlib
import glob
import os

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from errors import DataError
from importers import Source

# What Windows leaves in folders of images; names with a dot in front are left out as well.
IGNORED = ('thumbs.db', 'desktop.ini')
# More than Pillow takes by itself, which believes images of 16384x16384 to be attacks.
MAX_SIDE = 16384
NAMED = 3  # of many bad files

_CONVERSIONS = {
    'I;16': 'scale it to 8 bits, e.g. with Pillow and NumPy: Image.fromarray((np.asarray(image) // 257).astype(np.uint8))',
    'A': 'flatten it onto a background, e.g. with Pillow: background = Image.new("RGB", image.size, "white"); '
         'background.paste(image, mask=image.getchannel("A"))',
    'P': 'convert it, e.g. with Pillow: image.convert("RGB")',
}


def load_images(image_dir):
    """All files of a folder, sorted by name: square RGB or grayscale images of one shape, sides a power of two.

    The headers of all files are looked at first; the files are then read one at a time, as they are fetched.

    Raises:
        DataError: no folder, no files, or files that are no such images.
    """
    print(f'Loading images from "{image_dir}"')
    if not os.path.exists(image_dir):
        raise DataError(f'the image folder {image_dir!r} does not exist.')
    if not os.path.isdir(image_dir):
        raise DataError(f'the image folder {image_dir!r} is a file. Expected the folder that the images are in.')
    paths = [path for path in sorted(glob.glob(os.path.join(glob.escape(image_dir), '*')))
             if os.path.basename(path).lower() not in IGNORED]
    if not paths:
        raise DataError(f'No input images found in {image_dir!r}. Expected a folder of PNG or JPEG files.')
    shape, example = _check_headers(image_dir, paths)
    return Source(len(paths), lambda order: (_read_like(paths[index], shape, example) for index in order))


def read_image(path):
    """One image file as uint8 [C, H, W], C = 3 for RGB and 1 for grayscale.

    Raises:
        DataError: the file is no image, is damaged, or has another kind of pixels.
    """
    with _opened(path) as image:
        _check_mode(path, image.mode)
        pixels = np.asarray(image)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def _opened(path):
    """An image file, of which only the header has been read; anything that Pillow reports becomes a DataError."""
    if os.path.isdir(path):
        raise DataError(f'{path!r} is a folder: sub-folders are not searched. Put all images into one folder.')
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_SIDE ** 2
    try:
        with Image.open(path) as image:
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f'{path!r} is not an image that Pillow can read. Move it out of the folder.') from error
    except Image.DecompressionBombError as error:
        raise DataError(f'the image {path!r} is too large. Expected at most {MAX_SIDE}x{MAX_SIDE}; make it smaller or move it out of the '
                        'folder.') from error
    # Pillow reports damaged files with a wide range of exceptions, SyntaxError among them.
    except Exception as error:
        raise DataError(f'the image {path!r} cannot be read: {error}. Replace it or move it out of the folder.') from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_mode(path, mode):
    if mode not in ('RGB', 'L'):
        key = 'I;16' if mode.startswith('I') else 'A' if mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') else 'P'
        raise DataError(f'Input images must be stored as RGB or grayscale, 8 bits a channel. {path!r} is stored as {mode!r}; '
                        f'{_CONVERSIONS[key]}')


def _header_shape(path):
    """Shape [C, H, W] that a file claims to have. Raises DataError if it cannot be part of any data set."""
    with _opened(path) as image:
        _check_mode(path, image.mode)
        width, height = image.size
        shape = (3 if image.mode == 'RGB' else 1, height, width)
    if width != height:
        raise DataError(f'Input images must have the same width and height. {path!r} is {width}x{height}; crop it to a square.')
    if width < 4 or width & (width - 1):
        side = 1 << max(2, width.bit_length() - 1)
        raise DataError(f'Input image resolution must be a power-of-two, at least 4. {path!r} is {width}x{height}; resize the images to '
                        f'{side}x{side} for example.')
    return shape


def _check_headers(image_dir, paths):
    """Look at the headers of all files: the shape that they have, and the first file of that shape.

    Raises:
        DataError: naming the first few files that are no images, or are unlike the rest, and how many there are.
    """
    shapes, reasons = {}, {}
    for path in tqdm(paths, desc='Checking', unit='img', leave=False, disable=None, delay=3):
        try:
            shapes[path] = _header_shape(path)
        except DataError as error:
            reasons[path] = str(error)
    if not shapes:
        raise _bad_files(image_dir, paths, reasons)
    shape = collections.Counter(shapes.values()).most_common(1)[0][0]
    example = next(path for path in shapes if shapes[path] == shape)
    reasons |= {path: _unlike(path, found, shape, example) for path, found in shapes.items() if found != shape}
    if reasons:
        raise _bad_files(image_dir, paths, reasons)
    return shape, example


def _bad_files(image_dir, paths, reasons):
    bad = sorted(reasons)
    if len(bad) == 1:
        return DataError(reasons[bad[0]])
    named = ' '.join(f'({number}) {reasons[path]}' for number, path in enumerate(bad[:NAMED], 1))
    more = f' And {len(bad) - NAMED} more.' if len(bad) > NAMED else ''
    return DataError(f'{len(bad)} of the {len(paths)} files in {image_dir!r} cannot be used. {named}{more}')


def _unlike(path, found, shape, example):
    return (f'Input images must all have one shape. Expected {_describe(shape)} like most of them, e.g. {example!r}. {path!r} is '
            f'{_describe(found)}; resize or convert it, or move it out of the folder.')


def _read_like(path, shape, example):
    image = read_image(path)
    if image.shape != shape:  # the file has changed since its header was looked at
        raise DataError(_unlike(path, image.shape, shape, example))
    return image


def _describe(shape):
    return f'{shape[2]}x{shape[1]} {"RGB" if shape[0] == 3 else "grayscale"}'
