"""`Source`, the interface between importers and the writer of data sets, and shared functions."""
import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Collection, Generator, Iterable
from typing import Self, TypeVar

import numpy as np

from pgan.archives import ENDINGS as ARCHIVES
from pgan.archives import unpacking
from pgan.errors import DataError
from pgan.files import nearest_path

# Yields (number, image). A caller that stops early must close it.
NumberedImages = Generator[tuple[int, np.ndarray], None, None]

_MOST_FILES = 10_000  # limit of the search below a wrong folder
_UNFINISHED = ('.part', '.partial', '.crdownload', '.download', '.aria2')

_Item = TypeVar('_Item')
_Result = TypeVar('_Result')


@dataclasses.dataclass
class Source:
    """Images that can be fetched one at a time, and their labels.

    Attributes:
        num_images: number of images, or an upper bound if `may_skip`.
        fetch: function that takes image numbers and yields (number, image) in that order. Images
            are uint8 or float in 0..255, [C, R, R]. Raises DataError for a bad image.
        labels: float32 [num_images, components], or None.
        sequential: images are only available in a fixed order; `fetch` ignores the requested one.
        may_skip: `fetch` reports and skips bad images, instead of raising.
        class_names: names of the components of one-hot labels, or None.
        num_skipped: number of bad images that were skipped earlier and are not in num_images.
    """
    num_images: int
    fetch: Callable[[Collection[int]], NumberedImages]
    labels: np.ndarray | None = None
    sequential: bool = False
    may_skip: bool = False
    class_names: list[str] | None = None
    num_skipped: int = 0

    @classmethod
    def from_arrays(cls, images: np.ndarray, labels: np.ndarray | None = None) -> Self:
        """Create a source of images in memory: uint8 [num_images, C, R, R]."""
        return cls(len(images), lambda order: ((index, images[index]) for index in order), labels)


def onehot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Convert class numbers to one-hot labels, float32 [n, num_classes]."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def pad_to_32(images: np.ndarray) -> np.ndarray:
    """Pad digits [n, 28, 28] with 2 black pixels on each side: [n, 1, 32, 32]."""
    return np.pad(images, [(0, 0), (2, 2), (2, 2)])[:, np.newaxis]


def in_threads(function: Callable[[_Item], _Result],
               items: Iterable[_Item]) -> Generator[_Result, None, None]:
    """Yield function(item) for each item, in order; threads compute a few items ahead.

    A speed-up for decoding, because Pillow releases the GIL.
    """
    num_threads = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        ahead: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 4 * num_threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def check_range(what: str, folder: str | os.PathLike, images: np.ndarray, labels: np.ndarray,
                num_classes: int, download: str) -> None:
    """Raise DataError unless pixels range from 0 to 255 and labels are all of 0..num_classes-1."""
    if (images.min(), images.max()) != (0, 255):
        raise DataError(f'the images in {folder!r} are not those of {what}. Expected pixels from '
                        f'0 to 255. Received: {images.min()} to {images.max()}. Download: '
                        f'{download}')
    if not np.array_equal(np.unique(labels), np.arange(num_classes)):
        raise DataError(f'the labels in {folder!r} are not those of {what}. Expected 0 to '
                        f'{num_classes - 1}. Received: {len(np.unique(labels))} different ones '
                        f'from {labels.min()} to {labels.max()}. Download: {download}')


def not_found(folder: str | os.PathLike, name: str, expected: str, download: str,
              more: str = '') -> DataError:
    """Create the error for a missing file or folder of a published data set.

    The message lists what the folder holds instead.

    Args:
        folder: folder given by the user.
        name: name of the missing file or folder.
        expected: description of what the folder should hold.
        download: where to download the data set.
        more: optional sentence about what the folder holds, with a leading space.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        states = {FileNotFoundError: 'does not exist', NotADirectoryError: 'is a file'}
        state = states.get(type(error), f'cannot be read: {error.strerror}')
        return DataError(f'the folder {folder!r} {state}.{nearest_path(folder)} Expected a folder '
                         f'that holds {expected}. Download: {download}')
    others = f' and {len(names) - 5} more' if len(names) > 5 else ''
    found = ', '.join(names[:5]) + others if names else 'nothing'
    path = os.path.join(folder, name)
    state = 'is a folder' if os.path.isdir(path) else 'does not exist'
    return DataError(f'{path!r} {state}. Expected a folder that holds {expected}. Found there: '
                     f'{found}.{_where_else(folder, name, names) or more} Download: {download}')


def files_below(folder: str | os.PathLike) -> list[str]:
    """Sorted paths of files and folders in a folder and in three levels of sub-folders.

    The list is incomplete if there are more than about _MOST_FILES.
    """
    found: list[str] = []
    for parent, folders, files in os.walk(os.fspath(folder)):
        found += [os.path.join(parent, name) for name in folders + files]
        if os.path.relpath(parent, folder).count(os.sep) >= 2 or len(found) > _MOST_FILES:
            folders.clear()
    return sorted(found)


def _where_else(folder, name, names):
    """Hint on where the missing file may be: in a sub-folder, or in a packed archive; or ''."""
    below = [path.removesuffix(os.sep + name) for path in files_below(folder)
             if path.endswith(os.sep + name) and os.path.dirname(path) != os.fspath(folder)]
    if len(below) == 1:
        return f' There is one in {below[0]!r}: give that folder instead.'
    if below:
        listed = ', '.join(map(repr, below[:5])) + (', ...' if len(below) > 5 else '')
        return (f' There are {len(below)} in sub-folders, each of a separate data set: give one of '
                f'{listed}.')
    unfinished = [entry for entry in names if entry.lower().endswith(_UNFINISHED)]
    if unfinished:
        return f' {unfinished[0]!r} is an unfinished download.'
    archives = [entry for entry in names
                if entry.lower().endswith(ARCHIVES) and not entry.startswith('deltas')]
    if not archives:
        return ''
    path = os.path.join(folder, archives[0])
    return f' Unpack {archives[0]!r} first: {unpacking(path)}, and give the unpacked folder.'
