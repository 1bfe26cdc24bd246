"""Files of a folder that no data set can be made of: finding all of them, and what to say."""
import os
import time
from collections.abc import Collection, Mapping, Sequence

from pgan.data.decoding import opened
from pgan.errors import DataError
from pgan.importers.source import in_threads
from pgan.progress_bar import progress_bar

NAMED = 3  # of many bad files
SECONDS = 20.0  # of looking for more damage, once there is some
SKIP = 'Replace or remove such files, or leave them out with --skip_bad.'


class UnlikeError(DataError):
    """Images cannot be taken as they are, but could be with a resolution.

    Attributes:
        resolution: that most of them reach.
        skip_bad: whether some files cannot be read even so.
    """

    def __init__(self, message: str, resolution: int, skip_bad: bool):
        super().__init__(message)
        self.resolution = resolution
        self.skip_bad = skip_bad


def more_damage(paths: Collection[str]) -> tuple[dict[str, str], int]:
    """Decode images to see which are damaged. For when others are bad already: whoever mends a
    folder wants to know all of it at once. Takes SECONDS at most.

    Returns:
        ({path: reason}, number of images that were not looked at for want of time).
    """
    def attempt(path):
        try:
            with opened(path, path) as image:
                image.load()
        except DataError as error:
            return path, str(error)
        return path, None

    end, reasons, seen = time.monotonic() + SECONDS, {}, 0
    with progress_bar(total=len(paths), desc='Looking for more', unit='img', delay=3) as bar:
        for path, reason in in_threads(attempt, paths):
            seen += 1
            bar.update()
            if reason is not None:
                reasons[path] = reason
            if time.monotonic() > end:
                break
    return reasons, len(paths) - seen


def bad_files_error(image_dir: str | os.PathLike, num_files: int, reasons: Mapping[str, str],
                    unchecked: int = 0) -> DataError:
    """The error about files that cannot be used.

    Args:
        image_dir: their folder.
        num_files: in the folder.
        reasons: {path: message} of the bad ones.
        unchecked: how many others nobody has looked at yet.
    """
    rest = '' if not unchecked else (
        f' The pixels of {unchecked} more have not been looked at; that is done while writing.')
    bad = sorted(reasons)
    if len(bad) == 1:
        return DataError(reasons[bad[0]] + ('' if num_files == 1 else f' {SKIP}{rest}'))
    named = ' '.join(f'({number}) {reasons[path]}'
                     for number, path in enumerate(bad[:NAMED], 1))
    more = '' if len(bad) <= NAMED else f' And {len(bad) - NAMED} more{_names(bad[NAMED:])}.'
    return DataError(f'{len(bad)} of the {num_files} files in {image_dir!r} cannot be used. '
                     f'{named}{more} {SKIP}{rest}')


def _names(paths):
    """': a, b' of a few paths, '' of many."""
    return f': {", ".join(map(repr, paths))}' if len(paths) <= 2 * NAMED else ''


def unlike_error(image_dir: str | os.PathLike, unlike: Mapping[str, str],
                 sizes: Sequence[tuple[int, int]], resolution: int,
                 unreadable: Collection[str]) -> UnlikeError:
    """The error about images most of which have a size or kind of their own.

    Args:
        image_dir: their folder.
        unlike: {path: message} of these.
        sizes: (width, height) of all that can be read.
        resolution: to recommend.
        unreadable: paths of files that cannot be read at all.
    """
    example = min(unlike)
    if len(sizes) == 1:
        return UnlikeError(unlike[example], resolution, bool(unreadable))
    low, high = (f'{width}x{height}' for width, height in (min(sizes, key=_area),
                                                           max(sizes, key=_area)))
    found = f'of {low} to {high}' if low != high else f'all of {low}'
    also = '' if not unreadable else (
        f' Files that cannot be read at all: {len(unreadable)}, e.g. {min(unreadable)!r}; '
        '--skip_bad leaves them out.')
    return UnlikeError(
        f'{len(unlike)} of the {len(sizes)} images in {image_dir!r} cannot be taken as they are. '
        'Without --resolution all must be square, of one size that is a power of two, and RGB or '
        f'grayscale. These are {found}. For example: {unlike[example]} With --resolution '
        f'{resolution} all are cropped, resized and converted.{also}', resolution,
        bool(unreadable))


def _area(size):
    return size[0] * size[1], size
