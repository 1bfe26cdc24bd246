"""CelebA: 202599 aligned portraits of 178x218, cropped to the face."""
import glob
import os
import sys
from collections.abc import Iterable

import numpy as np

from pgan.archives import check_unpacked
from pgan.errors import ConfigError, DataError
from pgan.importers.image_folder import read_image
from pgan.importers.source import NumberedImages, Source, in_threads, not_found

NUM_IMAGES = 202599
WIDTH, HEIGHT, SIDE = 178, 218, 128
FOLDER = 'img_align_celeba_png'
JPEG_FOLDERS = ('img_align_celeba', os.path.join('img_align_celeba', 'img_align_celeba'))
EXPECTED = (f'the folder {FOLDER} of 000001.png to {NUM_IMAGES}.png (img_align_celeba_png.7z, '
            'unpacked)')
DOWNLOAD = 'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html ("Align&Cropped Images", PNG)'


def load_celeba(celeba_dir: str | os.PathLike, cx: int, cy: int) -> Source:
    """Load all portraits, cropped to 128x128 pixels around a point; without labels.

    Args:
        celeba_dir: folder that holds img_align_celeba_png. If that is missing, the JPEG version is
            used, with a note.
        cx, cy: centre of the crop, in pixels from the left and the top; 64 to 114 and 64 to 154.

    Returns:
        Source of images 3x128x128.

    Raises:
        ConfigError: the crop would extend beyond the image.
        DataError: files are missing, or are not those of CelebA.
    """
    half = SIDE // 2
    for name, value, size in (('--cx', cx, WIDTH), ('--cy', cy, HEIGHT)):
        if not half <= value <= size - half:
            raise ConfigError(f'{name} must be from {half} to {size - half}, so that '
                              f'{SIDE}x{SIDE} pixels around it lie inside the {WIDTH}x{HEIGHT} '
                              f'images. Received: {value}.')
    print(f'Loading CelebA from "{celeba_dir}"')
    paths = _find_portraits(celeba_dir)

    def read(index: int) -> tuple[int, np.ndarray]:
        return index, _read_face(paths[index], cx - half, cy - half)

    def fetch(order: Iterable[int]) -> NumberedImages:
        return in_threads(read, order)

    return Source(len(paths), fetch)


def _find_portraits(celeba_dir):
    check_unpacked(celeba_dir, f'a folder that holds {EXPECTED}')
    folder, ending = os.path.join(os.fspath(celeba_dir), FOLDER), '.png'
    if not os.path.isdir(folder):
        folder, ending = _jpeg_folder(celeba_dir), '.jpg'
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), f'*{ending}')))
    if len(paths) != NUM_IMAGES:
        raise DataError(f'Expected to find {NUM_IMAGES} images, *{ending}, in {folder!r}. '
                        f'Received: {len(paths)}. Download: {DOWNLOAD}')
    if ending == '.jpg':
        print(f'note: {folder!r} holds the JPEG version of CelebA. Its pixels differ slightly from '
              f'those of {FOLDER}, which the paper uses. For the PNG version: {DOWNLOAD}',
              file=sys.stderr)
    return paths


def _jpeg_folder(celeba_dir):
    """Folder of the JPEG version, as unpacked from img_align_celeba.zip."""
    for name in reversed(JPEG_FOLDERS):
        folder = os.path.join(os.fspath(celeba_dir), name)
        if os.path.isdir(folder):
            return folder
    raise not_found(celeba_dir, FOLDER, EXPECTED, DOWNLOAD)


def _read_face(path, left, top):
    image = read_image(path)
    if image.shape != (3, HEIGHT, WIDTH):
        raise DataError(f'{path!r} is not an image of CelebA. Expected RGB of {WIDTH}x{HEIGHT}. '
                        f'Received: {image.shape[0]} channels of '
                        f'{image.shape[2]}x{image.shape[1]}. Download: {DOWNLOAD}')
    return image[:, top:top + SIDE, left:left + SIDE]
