"""The deltas of CelebA-HQ: the differences made by an unpublished super-resolution network.

They are encrypted, with the photographs as keys.
"""
import base64
import bz2
import functools
import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from pgan.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pgan.importers.celebahq.recipe import Task  # which imports this module

SHAPE = (3, 1024, 1024)
DOWNLOAD = 'https://drive.google.com/open?id=0B4qLcYyJmiz0TXY1NG02bzZVRGs (CelebA-HQ deltas)'
DELTA_CAUSE = ('The file of deltas is damaged, or is not the published one; download it again: '
               f'{DOWNLOAD}')
JPEG_CAUSE = ('It is damaged, was saved again by some program, or comes from another edition of '
              'CelebA. Take it from "In-The-Wild Images" (img_celeba.7z): '
              'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html')


class WrongJpeg(DataError):
    """A delta cannot be decrypted with the JPEG file."""


def read_delta(task: 'Task') -> np.ndarray:
    """Read the delta of one image: uint8 [3, 1024, 1024], to be added modulo 256.

    Raises:
        WrongJpeg: the key, derived from the bytes of the JPEG file, is wrong.
        DataError: the archive lacks the delta or is damaged.
        ConfigError: the package cryptography is missing.
    """
    member = member_of(task.index)
    try:
        token = _opened(task.zip_path).read(member)
    except KeyError as error:
        raise DataError(f'{task.zip_path!r} has no {member!r}. {DELTA_CAUSE}') from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(
            f'{member!r} in {task.zip_path!r} cannot be read: {error}. {DELTA_CAUSE}') from error
    packed = _decrypt(token, task, member)
    try:
        data = bz2.decompress(packed)
        return np.frombuffer(data, np.uint8).reshape(SHAPE)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f'{member!r} in {task.zip_path!r} does not hold an array of '
                        f'{"x".join(map(str, SHAPE))}: {error}. {DELTA_CAUSE}') from error


def member_of(index: int) -> str:
    """Name of an image's delta in its archive."""
    return f'delta{index:05d}.dat'


@functools.lru_cache(maxsize=2)
def _opened(path):
    """Open an archive. Cached, so that its table of contents is read once."""
    return zipfile.ZipFile(path)


def _decrypt(token, task, member):
    """Decrypt a Fernet token with the key that PBKDF2 derives from the JPEG file's bytes and name.
    """
    try:
        from cryptography.fernet import Fernet, InvalidToken
    except ImportError as error:
        raise ConfigError('the deltas of CelebA-HQ are encrypted, and the package cryptography '
                          f'cannot be loaded: {error}. Install it: pip install -r '
                          'requirements-pip.txt') from error
    try:
        with open(task.jpeg_path, 'rb') as file:
            key = hashlib.pbkdf2_hmac('sha256', file.read(), task.orig_file.encode(), 100000, 32)
    except OSError as error:
        raise DataError(f'{task.jpeg_path!r} cannot be read: {error.strerror}.') from error
    try:
        return Fernet(base64.urlsafe_b64encode(key)).decrypt(token)
    except InvalidToken as error:
        raise WrongJpeg(f'Stage to suspect: the JPEG file. {member!r} in {task.zip_path!r} cannot '
                        f'be decrypted. Its key is the content of {task.jpeg_path!r}, so that is '
                        f'not the original file. {JPEG_CAUSE} (If this happens to many images, '
                        f'the deltas may be wrong: {DOWNLOAD})') from error
