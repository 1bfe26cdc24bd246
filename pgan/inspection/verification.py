"""Verification of every record of a data set."""
import os
from collections.abc import Sequence

import numpy as np

from pgan.data.records import FixedFile, IndexedFile
from pgan.errors import DataError
from pgan.inspection import reading
from pgan.pixels import box_average
from pgan.progress_bar import progress_bar

LISTED_FAULTS = 5


def verify_records(tfrecord_dir: str | os.PathLike,
                   files: Sequence[tuple[str, FixedFile | IndexedFile | DataError]]) -> None:
    """Check all records of a data set, and that each resolution is the average of the next higher.

    Args:
        tfrecord_dir: folder of the data set.
        files: (path, opened file or the DataError of opening it), from the full resolution down.

    Raises:
        DataError: records are damaged; one message covers all files.
    """
    faults = [str(error) for _, error in files if isinstance(error, DataError)]
    levels = [file for _, file in files if not isinstance(file, DataError)]
    # bytes per record
    sizes = {file.path: os.path.getsize(file.path) / file.num_images for file in levels}
    total = sum(os.path.getsize(file.path) for file in levels)
    damaged: dict[str, list[int]] = {file.path: [] for file in levels}
    different: dict[str, list[int]] = {file.path: [] for file in levels}
    step = max(1, reading.GROUP_BYTES // int(np.prod(levels[0].shape))) if levels else 1
    with progress_bar(total=round(total), delay=3, unit='B', unit_scale=True,
                      desc='Checking') as bar:
        for start in range(0, max((file.num_images for file in levels), default=0), step):
            above = None
            for file in levels:
                stop = min(start + step, file.num_images)
                images = _read_sound(file, start, stop, damaged[file.path])
                different[file.path] += [start + int(index) for index in _unlike(above, images)]
                above = images
                bar.update(max(0, stop - start) * sizes[file.path])
    unlike = 'are not the average of the image at twice the resolution'
    for file in levels:
        faults += _fault(file, damaged[file.path], 'cannot be read')
        faults += _fault(file, different[file.path], unlike)
    if faults:
        raise DataError(f'the data set {os.fspath(tfrecord_dir)!r} is damaged. {" ".join(faults)} '
                        'Copy it again from its source, or import it again.')


def _read_sound(file, start, stop, damaged):
    """Read images `start` to `stop` - 1 of a file; None if the range is empty or any is damaged.

    Indices of damaged records are appended to the list `damaged`.
    """
    if start >= stop:
        return None
    try:
        return file.read(np.arange(start, stop))
    except DataError:
        damaged += file.damaged(start, stop)
        return None


def _unlike(above, images):
    """Indices of images [n, C, r, r] that are not the 2x2 averages of those above, [n, C, 2r, 2r].

    If either is None, nothing is compared. Levels are averaged before they are rounded, so values
    may differ by 1. They are also averaged before they are clipped, so black and white pixels above
    may originally have been out of range, and allow larger differences.
    """
    if above is None or images is None:
        return []
    count, channels, height, width = images.shape
    if above.shape != (count, channels, 2 * height, 2 * width):
        return []
    off = images - box_average(above.astype(np.float32))
    suspects = np.flatnonzero((np.abs(off) > 1).any(axis=(1, 2, 3)))
    if not suspects.size:
        return []
    corners = [above[suspects, :, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    too_bright = (off[suspects] > 1) & (np.max(corners, axis=0) < 255)
    too_dark = (off[suspects] < -1) & (np.min(corners, axis=0) > 0)
    return suspects[(too_bright | too_dark).any(axis=(1, 2, 3))]


def _fault(file, numbers, what):
    """List with one sentence about faulty records of a file; empty if there are none."""
    if not numbers:
        return []
    listed = ', '.join(f'{number} (at byte {file.position(number)})'
                       for number in numbers[:LISTED_FAULTS])
    more = ' and so on' if len(numbers) > LISTED_FAULTS else ''
    return [f'{os.path.basename(file.path)}: {len(numbers)} of {file.num_images} records {what}, '
            f'namely {listed}{more}.']
