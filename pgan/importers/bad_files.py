"""Image files that cannot be imported: finding all of them, and the errors that report them."""
import os
import time
from collections.abc import Collection, Mapping, Sequence

from pgan.data.decoding import opened
from pgan.errors import DataError
from pgan.importers.source import in_threads
from pgan.progress_bar import progress_bar

NAMED = 3  # number of bad files that a message names
SECONDS = 20.0  # time limit of the search for more damaged files
SKIP = 'Replace or remove such files, or leave them out with --skip_bad.'


class UnlikeError(DataError):
    """Images cannot be imported as they are, but can be with --resolution.

    Attributes:
        resolution: resolution that most images reach.
        skip_bad: whether some files are unreadable and need --skip_bad as well.
    """

    def __init__(self, message: str, resolution: int, skip_bad: bool):
        super().__init__(message)
        self.resolution = resolution
        self.skip_bad = skip_bad


def more_damage(paths: Collection[str]) -> tuple[dict[str, str], int]:
    """Decode images to find damaged ones, for at most SECONDS.

    It is called once the import has failed, so that a single message reports all bad files.

    Returns:
        ({path: reason}, number of images not checked before the time limit).
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
    """Create the error that reports files that cannot be used.

    Args:
        image_dir: folder of the files.
        num_files: number of files in the folder.
        reasons: {path: message} of the bad files.
        unchecked: number of other files that are not checked yet.
    """
    rest = '' if not unchecked else (
        f' The pixels of {unchecked} more are not checked yet; that is done while writing.')
    bad = sorted(reasons)
    if len(bad) == 1:
        return DataError(reasons[bad[0]] + ('' if num_files == 1 else f' {SKIP}{rest}'))
    named = ' '.join(f'({number}) {reasons[path]}'
                     for number, path in enumerate(bad[:NAMED], 1))
    more = '' if len(bad) <= NAMED else f' And {len(bad) - NAMED} more{_names(bad[NAMED:])}.'
    return DataError(f'{len(bad)} of the {num_files} files in {image_dir!r} cannot be used. '
                     f'{named}{more} {SKIP}{rest}')


def _names(paths):
    """': a, b' for a few paths, '' for many."""
    return f': {", ".join(map(repr, paths))}' if len(paths) <= 2 * NAMED else ''


def unlike_error(image_dir: str | os.PathLike, unlike: Mapping[str, str],
                 sizes: Sequence[tuple[int, int]], resolution: int,
                 unreadable: Collection[str]) -> UnlikeError:
    """Create the error that reports that most images differ in size or kind.

    Args:
        image_dir: folder of the images.
        unlike: {path: message} of the images that differ.
        sizes: (width, height) of all readable images.
        resolution: resolution to recommend.
        unreadable: paths of unreadable files.
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
        f'{len(unlike)} of the {len(sizes)} images in {image_dir!r} cannot be used as they are. '
        'Without --resolution all must be square, of one size that is a power of two, and RGB or '
        f'grayscale. These are {found}. For example: {unlike[example]} With --resolution '
        f'{resolution} all are cropped, resized and converted.{also}', resolution,
        bool(unreadable))


def _area(size):
    return size[0] * size[1], size
