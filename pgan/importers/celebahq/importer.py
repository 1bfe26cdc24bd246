"""CelebA-HQ: 30000 faces of 1024x1024, rebuilt from CelebA and the deltas by several processes."""
import contextlib
import functools
import glob
import hashlib
import io
import math
import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
import PIL.Image
from tqdm import tqdm

from pgan.archives import check_unpacked
from pgan.errors import ConfigError, DataError
from pgan.files import atomic_write, make_folder
from pgan.importers.celebahq.delta import DOWNLOAD, JPEG_CAUSE, member_of
from pgan.importers.celebahq.exact_jpeg import decode, load_library
from pgan.importers.celebahq.image_cache import ImageCache
from pgan.importers.celebahq.processes import in_processes
from pgan.importers.celebahq.recipe import SIDE, ImageError, Task, rebuild
from pgan.importers.source import Source, in_threads, not_found
from pgan.progress_bar import progress_bar

NUM_PHOTOGRAPHS = 202599
NUM_IMAGES = 30000
IMAGES_PER_ZIP = 1000
FIRST_FILE, FIRST_MD5 = '000001.jpg', '9cad8178d6cb0196b36f7b34bc5eb6d3'  # MD5 of its pixels
RESOLUTIONS = (1024, 512, 256)

PHOTOGRAPHS = 'img_celeba'
LANDMARKS = os.path.join('Anno', 'list_landmarks_celeba.txt')
LIST = 'image_list.txt'
CELEBA_EXPECTED = (f'the folder {PHOTOGRAPHS} of {FIRST_FILE} to {NUM_PHOTOGRAPHS}.jpg '
                   f'(img_celeba.7z, unpacked) and {LANDMARKS}')
CELEBA_DOWNLOAD = ('https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html ("In-The-Wild Images", '
                   '"Landmarks Annotations")')
DELTAS_EXPECTED = f'{LIST} and the archives deltas00000.zip to deltas29000.zip, not unpacked'
COLUMNS = ('idx', 'orig_idx', 'orig_file', 'proc_md5', 'final_md5')

# Stop after this many images that cannot be rebuilt: the cause is then probably a common one.
MAX_FAILURES = 10
SECONDS_BETWEEN_LINES = 600  # between progress lines without a terminal

# --------------------------------------------------------------------------------------------------
# The data set.


class CelebAHQ:
    """The whole data set. A context manager that locks the cache folder after `load` is called.

    Args:
        tfrecord_dir: folder of the data set to create. The cache folder is tfrecord_dir + '.cache'.
        celeba_dir: folder of CelebA.
        delta_dir: folder of the deltas.
        resolution: resolution of the data set: 1024, 512 or 256. The lower ones equal the lower
            levels of the 1024x1024 data set.
        num_workers: number of worker processes.
        num_ahead: number of images queued for them at a time.
    """

    def __init__(self, tfrecord_dir: str | os.PathLike, celeba_dir: str | os.PathLike,
                 delta_dir: str | os.PathLike, *, resolution: int, num_workers: int,
                 num_ahead: int) -> None:
        check_options(resolution=resolution, num_workers=num_workers, num_ahead=num_ahead)
        self.celeba_dir = celeba_dir
        self.delta_dir = delta_dir
        self.resolution = resolution
        self.num_workers = num_workers
        self.num_ahead = num_ahead
        folder = f'{os.path.realpath(tfrecord_dir)}.cache'
        dtype = np.uint8 if resolution == SIDE else np.uint16
        self.cache = ImageCache(folder, [3, resolution, resolution], dtype)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._open.close()

    def load(self) -> Source:
        """Rebuild all images that are not in the cache folder yet.

        This takes hours. It can be killed and restarted at any time.

        Returns:
            Source of RGB images without labels.

        Raises:
            ConfigError: a package is missing.
            DataError: files are missing or not the expected ones, images cannot be rebuilt, or the
                disk is full.
        """
        load_library()
        tasks = read_tasks(self.celeba_dir, self.delta_dir)
        check_complete(self.celeba_dir, self.delta_dir, tasks)
        self._open.enter_context(self.cache)
        todo = [task for task in tasks if not self._has(task)]
        self._check_space(len(todo), len(tasks))
        if todo:
            check_first(self.celeba_dir)
            self._rebuild(tasks, todo)

        def read(index: int) -> tuple[int, np.ndarray]:
            return index, self._read(tasks[index])

        return Source(len(tasks), lambda order: in_threads(read, order))

    def clear(self) -> None:
        """Remove the cached images. Call it when the data set is complete."""
        self.cache.clear()

    def _check_space(self, num_todo, num_images):
        """Raise DataError if the disk is too small, before hours of work.

        The levels of a data set together take 4/3 of the space of the highest one.
        """
        needed = num_todo * self.cache.file_bytes + num_images * self.resolution ** 2 * 4
        free = shutil.disk_usage(self.cache.folder).free
        if needed > free:
            wanted, there = (f'{tqdm.format_sizeof(size)}B' for size in (needed, free))
            raise DataError(f'the disk of {self.cache.folder!r} is too small: {wanted} are needed '
                            'for the data set and, until it is complete, the finished images, but '
                            f'{there} are free. Free some space, choose another place, or a lower '
                            '--resolution.')

    def _rebuild(self, tasks, todo):
        failures = []
        done = len(tasks) - len(todo)
        if done:
            print(f'Continuing with {done} finished images in "{self.cache.folder}"', flush=True)
        work = functools.partial(_rebuild_into, self.cache)
        try:
            finished = in_processes(work, todo, num_workers=self.num_workers,
                                    num_ahead=self.num_ahead)
            with (contextlib.closing(_Progress(len(tasks), done)) as progress,
                  contextlib.closing(finished) as results):
                for task, failure in results:
                    done += failure is None
                    progress.update(done)
                    failures += _reported(task, failure)
                    if len(failures) == MAX_FAILURES:
                        what = f'Gave up after {MAX_FAILURES} images that cannot be rebuilt.'
                        raise _failed(failures, what)
        finally:
            done = sum(map(self._has, tasks))  # when interrupted, workers finish their images first
            print(f'{done} of {len(tasks)} images are finished, in "{self.cache.folder}"',
                  flush=True)
        if failures:
            raise _failed(failures, f'{len(failures)} of {len(tasks)} images cannot be rebuilt.')

    def _has(self, task):
        return self.cache.has(task.index, task.final_md5)

    def _read(self, task):
        image = self.cache.read(task.index, task.final_md5)
        if image is None:
            tqdm.write(f'The file of {task} in "{self.cache.folder}" is damaged; rebuilding it')
            image = reduce(rebuild(task), self.resolution)
        return average(image)


def _reported(task, failure):
    """Print a failure and return [(task, failure)]; return [] if `failure` is None."""
    if failure is None:
        return []
    tqdm.write(f'Failed: {failure}')
    return [(task, failure)]


def _failed(failures, what):
    failures = sorted(failures, key=lambda failure: failure[0].index)  # workers report unordered
    said = failures[0][1]
    if len(failures) > 1:
        others = ', '.join(str(task) for task, _ in failures[1:])
        said = f'The first: {said} The others: {others}; see the lines above.'
    return DataError(f'{what} {said} Finished images are kept: fix the cause and run the same '
                     'command again.')


def _rebuild_into(cache, task):
    """Rebuild one image in a worker and cache it. Returns None, or the reason of the failure."""
    try:
        image = rebuild(task)
    except ImageError as error:
        return str(error)
    cache.write(task.index, task.final_md5, reduce(image, cache.shape[1]))
    return None


def reduce(image: np.ndarray, resolution: int) -> np.ndarray:
    """Shrink an image uint8 [3, 1024, 1024] to its cached form.

    Returns:
        The image itself, or for lower resolutions the sums over squares of pixels, uint16
            [3, R, R].
    """
    size = SIDE // resolution
    if size == 1:
        return image
    squares = image.reshape(3, resolution, size, resolution, size)
    return squares.sum(axis=(2, 4), dtype=np.uint16)


def average(kept: np.ndarray) -> np.ndarray:
    """Convert the output of `reduce` to an image.

    Returns:
        uint8, or for lower resolutions the unrounded averages, float32.
    """
    return kept if kept.dtype == np.uint8 else kept * np.float32((kept.shape[1] / SIDE) ** 2)


class _Progress:
    """Progress bar with the remaining time. Without a terminal, prints a line every 10 minutes."""

    def __init__(self, total, done):
        self._bar = progress_bar(total=total, initial=done, desc='Rebuilding', unit='img')
        self._initial = done
        self._start = time.monotonic()
        self._next = self._start + SECONDS_BETWEEN_LINES

    def update(self, done):
        self._bar.n = done
        self._bar.refresh()
        now = time.monotonic()
        if self._bar.disable and now >= self._next and done > self._initial:
            self._next = now + SECONDS_BETWEEN_LINES
            left = (now - self._start) / (done - self._initial) * (self._bar.total - done)
            print(f'{done} of {self._bar.total} images are finished; {tqdm.format_interval(left)} '
                  'left', flush=True)

    def close(self):
        self._bar.close()


# --------------------------------------------------------------------------------------------------
# Single images.


def check_images(tfrecord_dir: str | os.PathLike, celeba_dir: str | os.PathLike,
                 delta_dir: str | os.PathLike, indices: Sequence[int], *, resolution: int,
                 num_workers: int) -> None:
    """Rebuild and check single images, cached or not, and write them as PNG to tfrecord_dir-only.

    Args:
        indices: image numbers, 0 to 29999.
        others: see `CelebAHQ`.

    Raises:
        ConfigError: an image does not exist, or a package is missing.
        DataError: some images cannot be rebuilt; the others are written.
    """
    check_options(resolution=resolution, num_workers=num_workers)
    load_library()
    tasks = read_tasks(celeba_dir, delta_dir)
    wrong = [index for index in indices if not 0 <= index < len(tasks)]
    if wrong:
        raise ConfigError(f'--only must be numbers of images, from 0 to {len(tasks) - 1}. '
                          f'Received: {", ".join(map(str, wrong))}.')
    folder = f'{os.path.realpath(tfrecord_dir)}-only'
    make_folder(folder)
    tasks = [tasks[index] for index in dict.fromkeys(indices)]
    work = functools.partial(_rebuild_png, folder, resolution)
    failures = []
    num_workers = min(num_workers, len(tasks))
    for task, failure in in_processes(work, tasks, num_workers=num_workers, num_ahead=1):
        failures += _reported(task, failure)
        if failure is None:
            print(f'{str(task).capitalize()}: both MD5 sums are correct; "{_png(folder, task)}"',
                  flush=True)
    if failures:
        raise _failed(failures, f'{len(failures)} of {len(tasks)} images cannot be rebuilt.')


def _png(folder, task):
    return os.path.join(folder, f'{task.index:05d}.png')


def _rebuild_png(folder, resolution, task):
    try:
        image = average(reduce(rebuild(task), resolution))
    except ImageError as error:
        return str(error)
    pixels = np.rint(image).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, 'PNG')
    with atomic_write(_png(folder, task)) as file:
        file.write(stream.getvalue())
    return None


# --------------------------------------------------------------------------------------------------
# Required files and options.


def check_options(*, resolution: int, num_workers: int, num_ahead: int = 1) -> None:
    """Raise ConfigError for invalid options."""
    if resolution not in RESOLUTIONS:
        raise ConfigError(f'--resolution must be {", ".join(map(str, RESOLUTIONS))}. Received: '
                          f'{resolution}.')
    for name, value in (('--num_threads', num_workers), ('--num_tasks', num_ahead)):
        if value < 1:
            raise ConfigError(f'{name} must be at least 1. Received: {value}.')


def read_tasks(celeba_dir: str | os.PathLike, delta_dir: str | os.PathLike) -> list[Task]:
    """Read the tasks of all images, in the order of image_list.txt.

    Raises:
        DataError: a list is missing or damaged.
    """
    print(f'Loading CelebA from "{celeba_dir}"')
    check_unpacked(celeba_dir, f'a folder that holds {CELEBA_EXPECTED}')
    if not os.path.basename(delta_dir).startswith('deltas'):  # these stay packed
        check_unpacked(delta_dir, f'a folder that holds {DELTAS_EXPECTED}')
    names, landmarks = _read_landmarks(celeba_dir)
    print(f'Loading CelebA-HQ deltas from "{delta_dir}"', flush=True)
    tasks = []
    for number, row in enumerate(_read_list(delta_dir)):
        index, orig_index = int(row['idx']), int(row['orig_idx'])
        if index != number or orig_index >= len(names) or names[orig_index] != row['orig_file']:
            found = names[orig_index] if orig_index < len(names) else 'nothing'
            raise DataError(f'{os.path.join(delta_dir, LIST)!r} and the landmarks do not match: '
                            f'row {number} has idx {index}, orig_idx {orig_index}, '
                            f'{row["orig_file"]}, and that line of the landmarks is for {found}. '
                            f'Download: {DOWNLOAD} and {CELEBA_DOWNLOAD}')
        tasks.append(Task(
            index=index,
            orig_file=row['orig_file'],
            jpeg_path=os.path.join(celeba_dir, PHOTOGRAPHS, row['orig_file']),
            landmarks=tuple((x, y) for x, y in landmarks[orig_index].reshape(5, 2).tolist()),
            zip_path=os.path.join(delta_dir, f'deltas{index - index % IMAGES_PER_ZIP:05d}.zip'),
            proc_md5=row['proc_md5'],
            final_md5=row['final_md5'],
        ))
    if len(tasks) != NUM_IMAGES:
        raise DataError(f'{os.path.join(delta_dir, LIST)!r} is not complete. Expected '
                        f'{NUM_IMAGES} images. Received: {len(tasks)}. Download: {DOWNLOAD}')
    return tasks


def _read_lines(folder, name, expected, download):
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise not_found(folder, name, expected, download)
    try:
        with open(path, encoding='utf-8') as file:
            return path, file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{path!r} cannot be read: {error}. Download: {download}') from error


def _read_landmarks(celeba_dir):
    """Read the file names of the photographs, and x and y of five points of each, [10]: two lists.
    """
    path, lines = _read_lines(celeba_dir, LANDMARKS, CELEBA_EXPECTED, CELEBA_DOWNLOAD)
    names, landmarks = [], []
    for number, line in enumerate(lines[2:], 3):
        name, *values = line.split() or ['']
        try:
            values = [float(value) for value in values]
        except ValueError:
            values = []
        if len(values) != 10 or not all(map(math.isfinite, values)):
            raise DataError(f'line {number} of {path!r} is damaged. Expected the name of a file '
                            f'and ten numbers. Received: {line[:100]!r}. Download: '
                            f'{CELEBA_DOWNLOAD}')
        names.append(name)
        landmarks.append(np.array(values))  # takes far less memory than 202599 lists
    if len(names) != NUM_PHOTOGRAPHS:
        raise DataError(f'{path!r} is not part of CelebA. Expected landmarks of {NUM_PHOTOGRAPHS} '
                        f'images. Received: {len(names)}. Download: {CELEBA_DOWNLOAD}')
    return names, landmarks


def _read_list(delta_dir):
    """Yield the rows of image_list.txt as dicts by column name."""
    path, lines = _read_lines(delta_dir, LIST, DELTAS_EXPECTED, DOWNLOAD)
    header = lines[0].split() if lines else []
    if not set(COLUMNS) <= set(header):
        raise DataError(f'{path!r} is not the list of CelebA-HQ. Expected the columns '
                        f'{", ".join(COLUMNS)} in its first line. Received: '
                        f'{" ".join(header)[:100]!r}. Download: {DOWNLOAD}')
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(header, line.split()))
        if len(row) != len(header) or not _is_sound(row):
            raise DataError(f'line {number} of {path!r} is damaged: {line[:150]!r}. Download: '
                            f'{DOWNLOAD}')
        yield row


def _is_sound(row):
    sums = (row['proc_md5'] + row['final_md5']).lower()
    has_sums = len(sums) == 64 and set(sums) <= set('0123456789abcdef')
    return row['idx'].isdecimal() and row['orig_idx'].isdecimal() and has_sums


def check_complete(celeba_dir: str | os.PathLike, delta_dir: str | os.PathLike,
                   tasks: Sequence[Task]) -> None:
    """Raise DataError unless all photographs and deltas exist."""
    folder = os.path.join(celeba_dir, PHOTOGRAPHS)
    if not os.path.isdir(folder):
        raise not_found(celeba_dir, PHOTOGRAPHS, CELEBA_EXPECTED, CELEBA_DOWNLOAD)
    found = len(glob.glob(os.path.join(glob.escape(folder), '*.jpg')))
    if found != NUM_PHOTOGRAPHS:
        raise DataError(f'Expected to find {NUM_PHOTOGRAPHS} images, *.jpg, in {folder!r}. '
                        f'Received: {found}. Download: {CELEBA_DOWNLOAD}')
    lost = [task.orig_file for task in tasks if not os.path.isfile(task.jpeg_path)]
    if lost:
        raise DataError(f'{len(lost)} photographs are missing in {folder!r}, e.g. {lost[0]}. '
                        f'Download: {CELEBA_DOWNLOAD}')
    archives = sorted({task.zip_path for task in tasks})
    missing = [path for path in archives if not os.path.isfile(path)]
    if missing:
        found = len(glob.glob(os.path.join(glob.escape(os.fspath(delta_dir)), '*.zip')))
        named = ', '.join(map(os.path.basename, missing[:5]))
        more = '...' if len(missing) > 5 else ''
        raise DataError(f'Expected to find {len(archives)} archives of deltas, *.zip, in '
                        f'{delta_dir!r}. Received: {found}. Missing: {named}{more}. Download: '
                        f'{DOWNLOAD}')
    for path in archives:
        _check_archive(path, [member_of(task.index) for task in tasks if task.zip_path == path])


def _check_archive(path, members):
    try:
        with zipfile.ZipFile(path) as archive:
            missing = sorted(set(members) - set(archive.namelist()))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f'{path!r} cannot be read: {error}. It is damaged, or was not downloaded '
                        f'completely. Download it again: {DOWNLOAD}') from error
    if missing:
        raise DataError(f'{path!r} lacks {len(missing)} of its {len(members)} deltas, e.g. '
                        f'{missing[0]!r}. Download it again: {DOWNLOAD}')


def check_first(celeba_dir: str | os.PathLike) -> None:
    """Raise DataError unless the first photograph decodes to the pixels used for CelebA-HQ."""
    path = os.path.join(celeba_dir, PHOTOGRAPHS, FIRST_FILE)
    received = hashlib.md5(decode(path).data).hexdigest()
    if received != FIRST_MD5:
        raise DataError(f'{path!r} does not decode to the expected pixels: their MD5 sum is '
                        f'{received}. Expected: {FIRST_MD5}. Either it is not the original file, '
                        f'or libjpeg 8d works differently on this machine. {JPEG_CAUSE}')
