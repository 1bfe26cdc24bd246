"""A folder, or a tree of folders, of image files."""
import collections
import os
from collections.abc import Callable
from typing import Literal

import numpy as np
from tqdm import tqdm

from pgan.data.decoding import (
    GRAY,
    NUMBERS,
    centre_square,
    check_resolution,
    mode_of,
    opened,
    to_chw,
    upright_pixels,
)
from pgan.errors import DataError
from pgan.importers.source import Source, in_threads, onehot
from pgan.invocation import command
from pgan.progress_bar import progress_bar
from pgan.resolutions import is_resolution, log2_of

# What Windows leaves in folders of images; names with a dot in front are left out as well.
IGNORED = ('thumbs.db', 'desktop.ini')
NAMED = 3  # of many bad files
_SKIP = 'Replace or remove such files, or leave them out with --skip_bad.'

_CONVERSIONS = {
    'I;16': 'scale it to 8 bits, e.g. with Pillow and NumPy: Image.fromarray((np.asarray(image) '
            '// 257).astype(np.uint8))',
    'A': 'flatten it onto a background, e.g. with Pillow: background = Image.new("RGB", '
         'image.size, "white"); background.paste(image, mask=image.getchannel("A"))',
    'P': 'convert it, e.g. with Pillow: image.convert("RGB")',
}


def load_images(image_dir: str | os.PathLike, resolution: int | None = None,
                labels: Literal['folders'] | None = None, *, skip_bad: bool = False) -> Source:
    """All files of a folder and of the folders below it, sorted by path.

    The headers of all files are looked at first; the files are then read one at a time, as they are
    fetched.

    Args:
        image_dir: the folder.
        resolution: None = the files must be square RGB or grayscale images of one shape, sides a
            power of two, and are taken as they are. R, a power of two = any images: the middle
            square of each, resized to RxR with Lanczos, turned as its EXIF data say, transparency
            laid onto white; 3xRxR, or 1xRxR if all files are gray.
        labels: None; or 'folders' = one-hot labels by the folder of image_dir that a file is in,
            classes in the order of their names.
        skip_bad: report files that cannot be used, and leave them out, instead of raising.

    Raises:
        ConfigError: the resolution is no power of two.
        DataError: no folder, no files, or files that are no such images.
    """
    if resolution is not None:
        check_resolution(resolution)
    print(f'Loading images from "{image_dir}"')
    paths = _find_files(image_dir)
    classes = _class_names(image_dir, paths) if labels == 'folders' else None
    headers, reasons = _read_headers(paths)
    read: Callable[[str], np.ndarray]
    if resolution is None:
        read = _reader_as_they_are(headers, reasons)
    else:
        read = _reader_of_squares(headers, reasons, resolution)
    _handle_bad_files(image_dir, paths, reasons, skip_bad)
    good = [path for path in paths if path not in reasons]
    if not good:
        raise DataError(f'none of the {len(paths)} files in {image_dir!r} can be used.')
    source = Source(len(good), lambda order: _fetch(good, read, order, skip_bad), may_skip=skip_bad,
                    class_names=classes)
    if classes:
        numbers = [classes.index(_class_of(image_dir, path)) for path in good]
        source.labels = onehot(np.array(numbers), len(classes))
    return source


def read_image(path: str) -> np.ndarray:
    """One image file as uint8 [C, H, W], C = 3 for RGB and 1 for grayscale.

    Raises:
        DataError: the file is no image, is damaged, or has another kind of pixels.
    """
    with opened(path, path) as image:
        _check_mode(path, image.mode)
        return to_chw(np.asarray(image))


# --------------------------------------------------------------------------------------------------
# Finding.


def _find_files(image_dir):
    if not os.path.exists(image_dir):
        raise DataError(f'the image folder {image_dir!r} does not exist.')
    if not os.path.isdir(image_dir):
        raise DataError(f'the image folder {image_dir!r} is a file. Expected the folder that the '
                        'images are in.')
    paths, seen = [], set()
    for folder, below, names in os.walk(image_dir, followlinks=True, onerror=_cannot_list):
        if os.path.realpath(folder) in seen:  # links may lead in circles
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        below[:] = [name for name in below if not name.startswith('.')]
        wanted = [name for name in names if name[0] != '.' and name.lower() not in IGNORED]
        paths += [os.path.join(folder, name) for name in wanted]
    if any(path.endswith('.tfrecords') for path in paths):
        extract = command('dataset_tool.py', 'extract', image_dir, 'OUTPUT_DIR')
        raise DataError(f'{image_dir!r} holds .tfrecords files: it is a data set already. Use it '
                        f'as it is, or make image files of it: {extract}')
    if not paths:
        raise DataError(f'No input images found in {image_dir!r}. Expected a folder of PNG or '
                        'JPEG files.')
    return sorted(paths)


def _cannot_list(error):
    raise DataError(f'the folder {error.filename!r} cannot be read: {error.strerror}. See to its '
                    'permissions.') from error


def _class_of(image_dir, path):
    """Name of the folder of image_dir that a file is in; '' if it is in image_dir itself."""
    first, *rest = os.path.relpath(path, image_dir).split(os.sep)
    return first if rest else ''


def _class_names(image_dir, paths):
    """Names of the folders of image_dir, sorted."""
    names = sorted({_class_of(image_dir, path) for path in paths})
    if '' in names:
        lost = next(path for path in paths if not _class_of(image_dir, path))
        raise DataError(f'--labels folders: {lost!r} is in none of the sub-folders of '
                        f'{image_dir!r}, so it has no class. Expected one sub-folder of images '
                        'for each class; move it to one of them.')
    if len(names) < 2:
        raise DataError(f'--labels folders: {image_dir!r} has the one sub-folder {names[0]!r}. '
                        'Expected at least two, one for each class; leave --labels out to go '
                        'without labels.')
    return names


# --------------------------------------------------------------------------------------------------
# Checking.


def _read_headers(paths):
    """Mode and size of each file that can be read, and the reasons why others cannot.

    Returns two dicts by path: {path: (mode, (width, height))}, {path: message}.
    """
    headers, reasons = {}, {}
    for path in progress_bar(paths, desc='Checking', unit='img', delay=3):
        try:
            if not os.path.isfile(path):
                raise DataError(f'{path!r} is no file, or a link to one that is gone.')
            with opened(path, path) as image:
                headers[path] = mode_of(image), image.size
        except DataError as error:
            reasons[path] = str(error)
    return headers, reasons


def _check_mode(path, mode):
    if mode not in ('RGB', 'L'):
        has_alpha = mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La')
        key = 'I;16' if mode.startswith('I') else 'A' if has_alpha else 'P'
        raise DataError('Input images must be stored as RGB or grayscale, 8 bits a channel. '
                        f'{path!r} is stored as {mode!r}; {_CONVERSIONS[key]}; or have all images '
                        'converted with --resolution.')


def _check_square(path, mode, size):
    """Shape [C, H, W] of an image that is to be taken as it is.

    Raises:
        DataError: it cannot be part of any data set.
    """
    _check_mode(path, mode)
    width, height = size
    side = 1 << max(2, log2_of(min(size)))
    if width != height:
        raise DataError(f'Input images must have the same width and height. {path!r} is '
                        f'{width}x{height}; crop it to a square, or have all images cropped and '
                        f'resized with e.g. --resolution {side}.')
    if not is_resolution(width):
        raise DataError(f'Input image resolution must be a power-of-two, at least 4. {path!r} is '
                        f'{width}x{height}; have all images resized with e.g. --resolution {side}.')
    return 3 if mode == 'RGB' else 1, height, width


def _reader_as_they_are(headers, reasons):
    """A function that reads one file of the shape that most have.

    `reasons` gets an entry for each other file.
    """
    shapes = {}
    for path, (mode, size) in headers.items():
        try:
            shapes[path] = _check_square(path, mode, size)
        except DataError as error:
            reasons[path] = str(error)
    if not shapes:
        return read_image
    shape = collections.Counter(shapes.values()).most_common(1)[0][0]
    example = next(path for path in shapes if shapes[path] == shape)
    reasons |= {
        path: _unlike(path, found, shape, example)
        for path, found in shapes.items() if found != shape
    }
    return lambda path: _read_like(path, shape, example)


def _reader_of_squares(headers, reasons, resolution):
    """A function that reads one file of any size and kind as uint8 [C, R, R].

    `reasons` gets an entry for each file that has no colours.
    """
    reasons |= {
        path: f'{path!r} is stored as {mode!r}, numbers without a black and a white. '
        'Expected 8 or 16 bits a channel; convert it, or move it out of the folder.'
        for path, (mode, _) in headers.items() if mode in NUMBERS
    }
    headers = {path: header for path, header in headers.items() if path not in reasons}
    gray = all(mode in GRAY for mode, _ in headers.values())
    small = sum(min(size) < resolution for _, size in headers.values())
    if small:
        print(f'{small} of {len(headers)} images are smaller than {resolution}x{resolution} and '
              'will be enlarged')

    def read(path):
        with opened(path, path) as image:
            pixels = upright_pixels(image, gray)
        return centre_square(pixels, resolution)

    return read


def _handle_bad_files(image_dir, paths, reasons, skip_bad):
    bad = sorted(reasons)
    if skip_bad:
        for path in bad:
            print(f'Skipped: {reasons[path]}')
    elif len(bad) == 1:
        raise DataError(reasons[bad[0]] + ('' if len(paths) == 1 else f' {_SKIP}'))
    elif bad:
        named = ' '.join(f'({number}) {reasons[path]}'
                         for number, path in enumerate(bad[:NAMED], 1))
        more = f' And {len(bad) - NAMED} more.' if len(bad) > NAMED else ''
        raise DataError(f'{len(bad)} of the {len(paths)} files in {image_dir!r} cannot be used. '
                        f'{named}{more} {_SKIP}')


def _unlike(path, found, shape, example):
    return (f'Input images must all have one shape. Expected {_describe(shape)} like most of '
            f'them, e.g. {example!r}. {path!r} is {_describe(found)}; resize or convert it, or '
            f'have all images made alike with --resolution {shape[1]}.')


def _describe(shape):
    return f'{shape[2]}x{shape[1]} {"RGB" if shape[0] == 3 else "grayscale"}'


# --------------------------------------------------------------------------------------------------
# Reading.


def _read_like(path, shape, example):
    image = read_image(path)
    if image.shape != shape:  # the file has changed since its header was looked at
        raise DataError(_unlike(path, image.shape, shape, example))
    return image


def _fetch(paths, read, order, skip_bad):
    """Yield (number, image) of the files of the given numbers."""
    def attempt(index):
        try:
            return index, read(paths[index])
        except DataError as error:
            return index, error

    for index, result in in_threads(attempt, order):
        if not isinstance(result, DataError):
            yield index, result
        elif skip_bad:
            tqdm.write(f'Skipped: {result}')
        else:
            raise DataError(f'{result} {_SKIP}') from result
