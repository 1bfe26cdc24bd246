"""LSUN: an LMDB of encoded photographs per category."""
import contextlib
import io
import os
import re
import shlex
from collections.abc import Collection

import numpy as np
from tqdm import tqdm

from pgan.archives import check_unpacked
from pgan.data.decoding import centre_square, check_resolution, opened, upright
from pgan.errors import ConfigError, DataError
from pgan.file_kinds import why_unreadable
from pgan.importers.source import (
    NumberedImages,
    Source,
    files_below,
    in_threads,
    not_found,
)
from pgan.invocation import command

DOWNLOAD = 'https://github.com/fyu/lsun'
_PICTURES = ('.webp', '.jpg', '.jpeg', '.png')
EXPECTED = 'data.mdb of one category'


def load_lsun(lmdb_dir: str | os.PathLike, resolution: int,
              max_images: int | None = None) -> Source:
    """Load the photographs of one category, in the order of their keys.

    The centre square of each photograph is resized with Lanczos to 3xRxR. Entries that cannot be
    decoded are reported and skipped.

    Args:
        lmdb_dir: folder of the LMDB environment, or its file.
        resolution: R, a power of two, at least 4.
        max_images: maximum number of images, not counting skipped entries; None = all.

    Raises:
        ConfigError: a number is out of range.
        DataError: there is no LMDB environment, or it is damaged or empty.
    """
    check_resolution(resolution)
    if max_images is not None and max_images < 1:
        raise ConfigError(f'--max_images must be at least 1. Received: {max_images}.')
    print(f'Loading LSUN dataset from "{lmdb_dir}"')
    environment = _open(lmdb_dir)
    num_entries = environment.stat()['entries']
    _check_unnamed(lmdb_dir, environment)
    _check_one_size(lmdb_dir, environment)
    if num_entries == 0:
        raise DataError(f'the LMDB in {lmdb_dir!r} is empty. Expected the photographs of one '
                        f'category. Download: {DOWNLOAD}')
    num_images = min(num_entries, max_images or num_entries)

    def fetch(order: Collection[int]) -> NumberedImages:
        return _decoded(lmdb_dir, environment, resolution, len(order))

    return Source(num_images, fetch, sequential=True, may_skip=True)


def _open(lmdb_dir):
    import lmdb
    check_unpacked(lmdb_dir, f'a folder that holds {EXPECTED}')
    is_file = os.path.isfile(lmdb_dir)  # LMDB accepts a folder or a file
    path = lmdb_dir if is_file else os.path.join(lmdb_dir, 'data.mdb')
    if not os.path.isfile(path):
        raise not_found(lmdb_dir, 'data.mdb', EXPECTED, DOWNLOAD, _other_layout(lmdb_dir))
    check_unpacked(path, EXPECTED)
    if os.path.basename(path) == 'lock.mdb':
        raise DataError(f"{path!r} is LMDB's lock file. Expected {EXPECTED}: give the folder.")
    if os.path.getsize(path) == 0:
        raise DataError(f'{path!r} is an empty file. Expected {EXPECTED}. Download it again: '
                        f'{DOWNLOAD}')
    try:
        # No lock, because the folder may be read-only. No readahead, so that a large file does not
        # evict everything else from the page cache.
        environment = lmdb.open(lmdb_dir, subdir=not is_file, readonly=True, lock=False,
                                create=False, readahead=False, max_dbs=1)
        needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    except lmdb.Error as error:
        raise DataError(f'{path!r} cannot be read as LMDB: {why_unreadable(path, error)}. Expected '
                        f'a folder that holds {EXPECTED}, or that file. Download it again: '
                        f'{DOWNLOAD}') from error
    # Reading beyond the end of the memory-mapped file would kill the process.
    if os.path.getsize(path) < needed:
        raise DataError(f'{path!r} is truncated. Expected at least {needed} bytes. Received: '
                        f'{os.path.getsize(path)}. Download it again: {DOWNLOAD}')
    return environment


def _check_unnamed(lmdb_dir, environment):
    """Raise DataError if the first entry is no photograph but a database with a name."""
    import lmdb
    with environment.begin() as transaction, contextlib.suppress(lmdb.Error):
        key = next(transaction.cursor().iternext(values=False), None)
        if key is None:
            return
        environment.open_db(key, transaction, create=False)
        raise DataError(f'the LMDB in {lmdb_dir!r} holds named databases, such as '
                        f'{key.decode("latin1")!r}. Expected the photographs of one category '
                        'themselves, as LSUN has them. Write those of one database to files, and '
                        f'run {command("dataset_tool.py", "create_from_images")}.')


def _check_one_size(lmdb_dir, environment):
    """Raise DataError if keys such as '128-00007' stand for one image at several resolutions."""
    with environment.begin() as transaction:
        cursor = transaction.cursor()
        keys = [cursor.key()] if cursor.first() else []
        if keys and cursor.set_range(keys[0].partition(b'-')[0] + b'.'):  # behind all '128-'
            keys.append(cursor.key())
    if len(keys) == 2 and all(re.fullmatch(rb'\d+-\d{5}', key) for key in keys):
        raise DataError(f'the LMDB in {lmdb_dir!r} holds each image at several resolutions, such '
                        f'as {keys[0].decode()!r} and {keys[1].decode()!r}: each would be taken '
                        'several times. Expected the photographs of one category, as LSUN has '
                        'them.')


def _other_layout(folder):
    """Hint for a folder that holds an LMDB of another name, or exported images; '' otherwise."""
    for path in files_below(folder):
        if path.endswith('.mdb') and os.path.basename(path) not in ('data.mdb', 'lock.mdb'):
            return f' If {path!r} is the LMDB of a category, give that file.'
        if path.lower().endswith(_PICTURES):
            line = command('dataset_tool.py', 'create_from_images')
            return (f' It holds images, such as {path!r}. For these: {line} TFRECORD_DIR '
                    f'{shlex.join([os.fspath(folder), "--resolution", "256"])}.')
    return ''


def _decoded(lmdb_dir, environment, resolution, num_images):
    """Yield (number, image) for the first num_images entries that can be decoded."""
    count = 0
    for result in in_threads(lambda entry: _decode(*entry, resolution),
                             _entries(lmdb_dir, environment)):
        if isinstance(result, DataError):
            tqdm.write(f'Skipped: {result}')
            continue
        yield count, result
        count += 1
        if count == num_images:
            return


def _entries(lmdb_dir, environment):
    import lmdb
    try:
        with environment.begin() as transaction:
            for key, value in transaction.cursor():
                yield key.decode('latin1'), bytes(value)
    except lmdb.Error as error:
        raise DataError(f'the LMDB in {lmdb_dir!r} is damaged: {error}. Download it again: '
                        f'{DOWNLOAD}') from error


def _decode(key, value, resolution):
    """Return the image of one entry, uint8 [3, R, R], or the DataError if it cannot be decoded."""
    try:
        with opened(io.BytesIO(value), key) as image:
            # The original's decoder cannot read GIF, and LSUN has none.
            if image.format == 'GIF':
                raise DataError(f'the image {key!r} is a GIF. Expected a photograph.')
            # Like the original's decoder, rotate upright and ignore the alpha channel.
            pixels = np.asarray(upright(image).convert('RGB'))
    except DataError as error:
        return error
    return centre_square(pixels, resolution)
