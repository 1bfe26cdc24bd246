"""Survey of an image folder, before a data set is created from it."""
import collections
import hashlib
import os
import random
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from pgan.data.decoding import GRAY, NUMBERS, mode_of, opened
from pgan.errors import DataError
from pgan.importers.class_folders import PARTS, in_order
from pgan.importers.picture_files import find_pictures, is_raw
from pgan.progress_bar import progress_bar

SAMPLED = 1000  # images whose headers are read
DECODED = 8  # images whose decoding is timed
SEVERAL = 5  # minimum number of images of a class
MOST_CLASSES = 100  # more folders are probably albums, not classes


class Survey(NamedTuple):
    """Content of an image folder.

    Attributes:
        image_dir: the folder.
        name: short form of the folder's name, for use in names of other folders.
        num_pictures: number of images in the folder and its sub-folders, readable or not.
        sides: shorter side of each image of a sample, in pixels.
        is_gray: whether all images of the sample are grayscale.
        sec_per_picture: seconds to decode an image on one core.
        unreadable: number of unreadable files in the sample.
        classes: names of the sub-folders that are classes, or [].
        note: reason why sub-folders are not classes; '' if there are no sub-folders, or they are
            classes.
        fingerprint: 8 characters that change with the files' names, sizes or times.
    """
    image_dir: str
    name: str
    num_pictures: int
    sides: list[int]
    is_gray: bool
    sec_per_picture: float
    unreadable: int
    classes: list[str]
    note: str
    fingerprint: str


def survey(image_dir: str) -> Survey:
    """Survey the files of a folder tree, and the headers of a sample of its images.

    Raises:
        DataError: there is no folder or no image, or no image of the sample can be read.
    """
    paths = find_pictures(image_dir).paths
    sides, modes, decoding, reason = _sample(paths)
    looked_at = min(len(paths), SAMPLED)
    if not sides:
        of = f'{looked_at} of the {len(paths)}' if looked_at < len(paths) else f'the {len(paths)}'
        raise DataError(f'none of {of} images in {image_dir!r} can be read. The first: {reason}')
    classes, note = _classes(image_dir, paths)
    return Survey(image_dir, _name(image_dir), len(paths), sides,
                  all(mode in GRAY for mode in modes), sum(decoding) / max(len(decoding), 1),
                  looked_at - len(sides), classes, note, _fingerprint(image_dir, paths))


def _sample(paths):
    """Read a sample: (shorter sides, modes, seconds of some decodings, message of the first error).
    """
    chosen = paths if len(paths) <= SAMPLED else random.Random(0).sample(paths, SAMPLED)
    sides, modes, decoding, reason = [], [], [], ''
    for path in progress_bar(chosen, desc='Looking', unit='img', delay=3):
        try:
            if not os.path.isfile(path) or is_raw(path):
                raise DataError(f'{path!r} is not an image that Pillow can read.')
            with opened(path, path) as image:
                mode = mode_of(image)
                if mode in NUMBERS:
                    raise DataError(f'{path!r} is stored as {mode!r}, which has no defined black '
                                    'and white level.')
                if len(decoding) < DECODED:
                    start = time.perf_counter()
                    image.load()
                    decoding.append(time.perf_counter() - start)
                sides.append(min(image.size))
                modes.append(mode)
        except DataError as error:
            reason = reason or str(error)
    return sides, modes, decoding, reason


def _classes(image_dir: str, paths: Sequence[str]) -> tuple[list[str], str]:
    """Return the names of the sub-folders if they are classes, else [] and the reason."""
    first = (os.path.relpath(path, image_dir).split(os.sep) for path in paths)
    counts = collections.Counter(steps[0] if len(steps) > 1 else '' for steps in first)
    loose = counts.pop('', 0)
    if not counts:
        return [], ''
    smallest = min(counts, key=lambda name: (counts[name], name))
    if len(counts) == 1:
        return [], f'no classes: there is only one sub-folder, {smallest!r}'
    if loose:
        return [], f'no classes: {loose} images are outside of the {len(counts)} sub-folders'
    if counts[smallest] < SEVERAL:
        return [], (f'no classes: of the {len(counts)} sub-folders, {smallest!r} holds '
                    f'{counts[smallest]}, fewer than {SEVERAL}')
    if len(counts) > MOST_CLASSES:
        return [], f'no classes: {len(counts)} sub-folders are more than {MOST_CLASSES}'
    if PARTS.issuperset(name.lower() for name in counts):
        return [], f'no classes: {", ".join(in_order(set(counts)))} are data set splits'
    return in_order(set(counts)), ''


def _fingerprint(image_dir, paths):
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
            facts = f'{status.st_size} {status.st_mtime_ns}'
        except OSError:
            facts = 'gone'
        name = os.fsencode(os.path.relpath(path, image_dir))
        digest.update(name + b'\0' + facts.encode() + b'\0')
    return digest.hexdigest()[:8]


def _name(image_dir):
    name = os.path.basename(os.path.realpath(image_dir))
    # Only characters that are safe in file names and in the shell.
    short = re.sub(r'[^A-Za-z0-9_]+', '-', name).strip('-_')[:40]
    return short or 'pictures'
