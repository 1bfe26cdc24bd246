"""Image folders: a folder, or a tree of folders, of image files."""
import collections
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from pgan.data.colour_profiles import Profile, profile_of
from pgan.data.decoding import (
    DEEP_GRAY,
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
from pgan.importers.bad_files import SECONDS, bad_files_error, more_damage, unlike_error
from pgan.importers.class_folders import Labels, class_folders
from pgan.importers.picture_files import explained, find_pictures, is_raw
from pgan.importers.source import Source, in_threads, onehot
from pgan.progress_bar import progress_bar
from pgan.resolutions import is_resolution, log2_of, reached_by_most

# Brightest pixel of a nearly black image, of 255, in 8-bit and in 16-bit files: as bright as 12-bit
# and 14-bit values in 16-bit files.
DARK, DARK_DEEP = 15, 63

_CONVERSIONS = {
    'I;16': 'scale it to 8 bits, e.g. with Pillow and NumPy: Image.fromarray((np.asarray(image) '
            '// 257).astype(np.uint8))',
    'A': 'flatten it onto a background, e.g. with Pillow: background = Image.new("RGB", '
         'image.size, "white"); background.paste(image, mask=image.getchannel("A"))',
    'P': 'convert it, e.g. with Pillow: image.convert("RGB")',
}


class Header(NamedTuple):
    """Header of an image file: mode, (width, height), and colour profile."""
    mode: str
    size: tuple[int, int]
    profile: Profile | None


def load_images(image_dir: str | os.PathLike, resolution: int | None = None,
                labels: Labels | None = None, *, skip_bad: bool = False) -> Source:
    """Load all images of a folder and its sub-folders, sorted by path.

    Other files are counted and ignored. The headers of all images are checked first; the files are
    then read one at a time, when they are fetched.

    Args:
        image_dir: the folder.
        resolution: None = use the images as they are: square, RGB or grayscale, and of one size
            that is a power of two. R, a power of two = accept any images, and use the centre square
            of each, resized to RxR with Lanczos, upright by its EXIF orientation, in sRGB, and
            blended with white where it is transparent; 3xRxR, or 1xRxR if all files are grayscale.
        labels: None = no labels; 'folders' = one-hot labels by top-level folder below image_dir;
            'innermost' = by the folder that directly contains the image. Classes are sorted by
            name.
        skip_bad: report and skip files that cannot be used, instead of raising an error.

    Raises:
        ConfigError: the resolution is not a power of two.
        DataError: there is no folder or no image, or an image cannot be used. An `UnlikeError` if
            most images could be used with a resolution.
    """
    if resolution is not None:
        check_resolution(resolution)
    print(f'Loading images from "{image_dir}"')
    paths, folders = find_pictures(image_dir)
    classes: list[str] = []
    numbers: list[int] = []
    if labels:
        classes, numbers = class_folders(image_dir, paths, folders, labels)
    headers, reasons = _read_headers(paths)
    unreadable = set(reasons)
    _report_profiles(headers, resolution)
    read: Callable[[str], np.ndarray]
    if resolution is None:
        read = _reader_as_they_are(headers, reasons)
    else:
        read = _reader_of_squares(headers, reasons, resolution)
    if resolution is None:
        _check_likeness(image_dir, headers, reasons, unreadable, skip_bad)
    _handle_bad_files(image_dir, paths, reasons, skip_bad)
    good = [path for path in paths if path not in reasons]
    if not good:
        raise DataError(f'none of the {len(paths)} files in {image_dir!r} can be used.')
    source = Source(len(good),
                    lambda order: _fetch(image_dir, good, read, order, skip_bad, headers),
                    may_skip=skip_bad, class_names=classes or None,
                    num_skipped=len(paths) - len(good))
    if classes:
        of_good = [number for path, number in zip(paths, numbers) if path not in reasons]
        source.labels = onehot(np.array(of_good), len(classes))
    return source


def read_image(path: str) -> np.ndarray:
    """Read an image file as uint8 [C, H, W], C = 3 for RGB and 1 for grayscale.

    Raises:
        DataError: the file is not an image, is damaged, or has another kind of pixels.
    """
    with opened(path, path) as image:
        _check_mode(path, image.mode)
        return to_chw(np.asarray(image))


# --------------------------------------------------------------------------------------------------
# Checking.


def _read_headers(paths):
    """Read the headers of image files.

    Returns two dicts: {path: Header} of the readable files, and {path: message} of the others.
    """
    headers, reasons = {}, {}
    for path in progress_bar(paths, desc='Checking', unit='img', delay=3):
        try:
            if not os.path.isfile(path):
                raise DataError(f'{path!r} is not a file, or is a broken link.')
            if is_raw(path):
                raise DataError('')
            with opened(path, path) as image:
                headers[path] = Header(mode_of(image), image.size, profile_of(image))
        except DataError as error:
            reasons[path] = explained(path, str(error))
    return headers, reasons


def _report_profiles(headers, resolution):
    """Print the number of images with a profile other than sRGB, and how they are treated."""
    profiles = {path: header.profile for path, header in headers.items() if header.profile}
    others = [path for path, profile in profiles.items() if profile.convert]
    broken = [path for path, profile in profiles.items() if profile.fault]
    if others:
        fate = ('are converted to sRGB' if resolution else
                'are used as they are; --resolution converts them to sRGB')
        print(f'{len(others)} of {len(headers)} images have a colour profile other than sRGB, e.g. '
              f'{others[0]!r} ({profiles[others[0]].name}), and {fate}')
    if broken:
        print(f'{len(broken)} of {len(headers)} images have a colour profile that cannot be used '
              f'and is ignored, e.g. {broken[0]!r}: {profiles[broken[0]].fault}')


def _check_mode(path, mode):
    if mode not in ('RGB', 'L'):
        has_alpha = mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La')
        key = 'I;16' if mode.startswith('I') else 'A' if has_alpha else 'P'
        raise DataError('Input images must be stored as RGB or grayscale, 8 bits per channel. '
                        f'{path!r} is stored as {mode!r}; {_CONVERSIONS[key]}; or have all images '
                        'converted with --resolution.')


def _check_square(path, mode, size):
    """Shape [C, H, W] of an image that is used as it is.

    Raises:
        DataError: no data set can contain the image.
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
    """Return a function that reads one file of the most common shape.

    Adds an entry to `reasons` for each file of another shape.
    """
    shapes = {}
    for path, (mode, size, _) in headers.items():
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
    """Return a function that reads one file of any size and kind as uint8 [C, R, R].

    Adds an entry to `reasons` for each file without a defined black and white level.
    """
    reasons |= {
        path: f'{path!r} is stored as {mode!r}, which has no defined black and white level. '
        'Expected 8 or 16 bits per channel; convert it, or move it out of the folder.'
        for path, (mode, _, _) in headers.items() if mode in NUMBERS
    }
    headers = {path: header for path, header in headers.items() if path not in reasons}
    gray = all(header.mode in GRAY for header in headers.values())
    small = sum(min(header.size) < resolution for header in headers.values())
    if small:
        print(f'{small} of {len(headers)} images are smaller than {resolution}x{resolution} and '
              'will be enlarged')

    def read(path):
        with opened(path, path) as image:
            pixels = upright_pixels(image, gray)
        return centre_square(pixels, resolution)

    return read


def _check_likeness(image_dir, headers, reasons, unreadable, skip_bad):
    """Raise UnlikeError if most images cannot be used as they are; with skip_bad, print a note."""
    unlike = {path: reason for path, reason in reasons.items() if path not in unreadable}
    if 2 * len(unlike) <= len(headers):
        return
    sizes = [header.size for header in headers.values()]
    resolution = reached_by_most([min(size) for size in sizes])
    if skip_bad:
        print(f'note: {len(unlike)} of the {len(headers)} images are left out for their size or '
              f'kind; with --resolution {resolution} they would be cropped, resized and converted')
        return
    damaged, _ = more_damage(headers)
    numbers = [path for path, header in headers.items() if header.mode in NUMBERS]
    raise unlike_error(image_dir, unlike, sizes, resolution, {*unreadable, *damaged, *numbers})


def _handle_bad_files(image_dir, paths, reasons, skip_bad):
    if skip_bad:
        for path in sorted(reasons):
            print(f'Skipped: {reasons[path]}')
    elif reasons:
        damaged, unchecked = more_damage([path for path in paths if path not in reasons])
        raise bad_files_error(image_dir, len(paths), reasons | damaged, unchecked)


def _unlike(path, found, shape, example):
    return (f'Input images must all have one shape. Expected {_describe(shape)} like most of '
            f'them, e.g. {example!r}. {path!r} is {_describe(found)}; resize or convert it, or '
            f'have all images converted with --resolution {shape[1]}.')


def _describe(shape):
    return f'{shape[2]}x{shape[1]} {"RGB" if shape[0] == 3 else "grayscale"}'


# --------------------------------------------------------------------------------------------------
# Reading.


def _read_like(path, shape, example):
    image = read_image(path)
    if image.shape != shape:  # the file has changed since its header was read
        raise DataError(_unlike(path, image.shape, shape, example))
    return image


def _fetch(image_dir, paths, read, order, skip_bad, headers):
    """Yield (number, image) for the given file numbers."""
    def attempt(index):
        try:
            return index, read(paths[index])
        except DataError as error:
            return index, error

    dark = {}
    results = in_threads(attempt, order)
    for number, (index, result) in enumerate(results, 1):
        if not isinstance(result, DataError):
            is_deep = headers[paths[index]].mode in DEEP_GRAY
            if result.max() <= (DARK_DEEP if is_deep else DARK):
                dark[paths[index]] = int(result.max())
            yield index, result
        elif skip_bad:
            tqdm.write(f'Skipped: {result}')
        else:
            reasons, seen = _damage_among(results)
            raise bad_files_error(
                image_dir, len(paths), {paths[at]: str(error) for at, error in
                                        [(index, result), *reasons]},
                len(order) - number - seen) from result
    _report_dark(dark, len(paths), headers)


def _damage_among(results):
    """Collect the errors among (index, image or error), for at most SECONDS.

    Returns (errors with their indices, number of results checked).
    """
    end, found, seen = time.monotonic() + SECONDS, [], 0
    for index, result in results:
        seen += 1
        if isinstance(result, DataError):
            found.append((index, result))
        if time.monotonic() > end:
            break
    return found, seen


def _report_dark(dark, num_images, headers):
    if not dark:
        return
    path = min(dark)
    bits = 16 if headers[path].mode in DEEP_GRAY else 8
    tqdm.write(f'note: {len(dark)} of {num_images} images are nearly black, e.g. {path!r} ({bits} '
               f'bits per channel), whose brightest pixel is {dark[path]} of 255. If they use only '
               'a part of the range, like 12-bit values in 16-bit files, or masks of 0 and 1, '
               f'scale them first so that white is {2 ** bits - 1}.', file=sys.stderr)
