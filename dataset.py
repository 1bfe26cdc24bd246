"""Data sets for training: minibatches of images at the networks' resolution, and their labels."""
import glob
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np

from pgan.archives import check_unpacked
from pgan.data import records
from pgan.data.class_names import read_class_names
from pgan.data.labels import find_label_file, has_labels, load_labels, read_labels
from pgan.errors import ConfigError, DataError, did_you_mean
from pgan.files import expanded, nearest_existing
from pgan.invocation import command
from pgan.options import (
    REQUIRED,
    DottedName,
    NonNegative,
    Resolution,
    Size,
    Such,
    SuppliedIfTaken,
    ValueRange,
    check_kind,
    checked,
    kind_of,
    options_of,
    rest_of,
)
from pgan.resolutions import is_resolution, log2_of

if TYPE_CHECKING:
    import tensorflow as tf

    ArrayOrTensor: TypeAlias = np.ndarray | tf.Tensor

__all__ = [
    'Dataset', 'SyntheticDataset', 'TFRecordDataset', 'creation_hint', 'find_label_file',
    'has_labels', 'load_dataset', 'read_labels', 'shuffled_order'
]

# --------------------------------------------------------------------------------------------------
# Common to all data sets.


class Dataset:
    """A stream of images and labels with a position. Subclasses implement `_read`.

    Args:
        resolution: width and height of the full images.
        num_channels: 1 or 3.
        dtype, dynamic_range, label_size, label_dtype: see below.

    Attributes:
        resolution, resolution_log2: of the full images, R and log2(R).
        shape: shape of a full image, [C, R, R].
        dtype: type of the images, e.g. 'uint8'.
        dynamic_range: [lowest, highest] pixel value.
        label_size, label_dtype: number of label components (0 = no labels) and their type, e.g.
            'float32'.
        num_images: number of images, or None for an endless data set.
        position: number of images read so far. Together with the options it determines all
            following minibatches.
        labels: labels of all images by image number, [num_images, label_size], or None for an
            endless data set.
        class_names: names of the label components, or None.
        reads_ahead: whether training prefetches minibatches on another thread while a step
            computes. A subclass that sets it to False is read only when a minibatch is due.
    """
    labels: np.ndarray | None = None
    class_names: Sequence[str] | None = None
    reads_ahead = True

    def __init__(self, resolution: int, num_channels: int, dtype: str,
                 dynamic_range: Sequence[float], label_size: int, label_dtype: str):
        self.resolution = int(resolution)
        self.resolution_log2 = log2_of(self.resolution)
        self.shape = [int(num_channels), self.resolution, self.resolution]
        self.dtype = dtype
        self.dynamic_range = list(dynamic_range)
        self.label_size = int(label_size)
        self.label_dtype = label_dtype
        self.num_images: int | None = None
        self.position = 0
        self._minibatch_size: int | None = None
        self._lod = 0

    def configure(self, minibatch_size: int, lod: float = 0) -> None:
        """Set the size and level of detail of the following minibatches; keep the position.

        Args:
            minibatch_size: images per minibatch, >= 1.
            lod: level of detail. Images have the resolution of floor(lod), R / 2^floor(lod).

        Raises:
            ConfigError: an argument is out of range.
        """
        whole_lod = int(np.floor(lod))
        if minibatch_size != int(minibatch_size) or minibatch_size < 1:
            raise ConfigError('the minibatch size must be a whole number of at least 1. Received: '
                              f'{minibatch_size!r}.')
        if not 0 <= whole_lod <= self.resolution_log2 - 2:
            raise ConfigError(f'lod must be from 0 ({self.resolution}x{self.resolution}) to '
                              f'{self.resolution_log2 - 2} (4x4) for this data set. Received: '
                              f'{lod!r}.')
        self._minibatch_size = int(minibatch_size)
        self._lod = whole_lod

    def get_minibatch_np(self, minibatch_size: int,
                         lod: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Configure the data set and return the next minibatch as NumPy arrays.

        Returns:
            (images, labels): [N, C, r, r] with r = R / 2^floor(lod), and [N, label_size]. The last
            minibatch of a data set that does not repeat may be smaller than minibatch_size.

        Raises:
            StopIteration: the data set does not repeat and is exhausted.
        """
        self.configure(minibatch_size, lod)
        return self._next(int(minibatch_size), self._lod)

    def get_minibatch_tf(self, part: int = 0, parts: int = 1) -> 'tuple[tf.Tensor, tf.Tensor]':
        """Return the next minibatch as tensors; see `get_minibatch_np`. Call `configure` first.

        When several processes share a minibatch, each reads only one of `parts` equal parts. The
        position advances by the whole minibatch in all of them.

        Within a tf.function, each execution of the graph reads the next minibatch, with the size
        and lod that were configured at tracing time.
        """
        import tensorflow as tf
        if self._minibatch_size is None:
            raise ConfigError('call configure(minibatch_size, lod) before get_minibatch_tf().')
        size, lod = self._minibatch_size, self._lod
        if tf.executing_eagerly():
            images, labels = self._next(size, lod, part, parts)
            return tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
        images, labels = tf.numpy_function(lambda: self._next(size, lod, part, parts), [],
                                           [self.dtype, self.label_dtype])
        return (tf.ensure_shape(images, [None, *self._shape_at(lod)]),
                tf.ensure_shape(labels, [None, self.label_size]))

    def get_random_labels_np(self, minibatch_size: int) -> np.ndarray:
        """Labels of random images, drawn with NumPy's global generator.

        Returns:
            [minibatch_size, label_size]
        """
        raise NotImplementedError

    def get_random_labels_tf(self, minibatch_size: 'int | tf.Tensor') -> 'tf.Tensor':
        """Labels of random images, as a tensor: [minibatch_size, label_size]."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """State that a checkpoint stores for `restore`: a dict of plain values."""
        return {'position': self.position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to the position at which `state` was taken."""
        self.position = int(state['position'])

    def close(self) -> None:
        """Close the files. The data set can no longer be read."""

    def _shape_at(self, lod: int) -> list[int]:
        return [self.shape[0], self.resolution >> lod, self.resolution >> lod]

    def _next(self, minibatch_size: int, lod: int, part: int = 0,
              parts: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Read the next images, or one of several equal parts of them, and advance the position.

        Returns:
            Images and labels.
        """
        size = minibatch_size // parts
        images, labels = self._read(self.position + part * size, size, lod)
        self.position += len(images) * parts
        return np.asarray(images), np.asarray(labels)

    def _read(self, position: int, count: int, lod: int) -> 'tuple[ArrayOrTensor, ArrayOrTensor]':
        """Images and labels at `position` to `position + count - 1` of the stream."""
        raise NotImplementedError


# --------------------------------------------------------------------------------------------------
# Data sets on disk.


def _is_path(value):
    """Whether the value is a valid file name."""
    try:
        return isinstance(value, (str, os.PathLike)) and 0 not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


FolderName = Annotated[Any, Such("the name of a folder, e.g. 'mnist'",
                                 lambda value: _is_path(value) and os.fspath(value))]
LabelFile = Annotated[Any, Such('the name of an .npy file', _is_path)]


class TFRecordDataset(Dataset):
    """A data set written by dataset_tool.py: a .tfrecords file per resolution, and maybe labels.

    The files are memory-mapped and read with random access. Each epoch shuffles the whole data set,
    in an order that depends only on (random_seed, epoch), not on minibatch sizes and lods.

    Args:
        tfrecord_dir: folder of the data set, with files of every resolution from 4x4 up.
        resolution: resolution of the images; None = the highest one available. Files of higher
            resolutions are ignored.
        label_file: .npy file of labels [images, components], relative to the current folder or to
            tfrecord_dir; None = the .labels file in the folder.
        max_label_size: 'full' = all components of a label, k = the first k, 0 = no labels.
        repeat: start again at the end. Otherwise the last minibatch may be smaller, and the next
            one raises StopIteration.
        shuffle_mb: 0 = file order; any other value = shuffled. (In the original, the size of the
            shuffle buffer in megabytes.)
        prefetch_mb, buffer_mb, num_threads: accepted and ignored; random access needs none of the
            original's buffers.
        random_seed: seed of the shuffling, >= 0.
        verify: check the checksum of each record that is read.
        validation: number of images to hold out from training, or a fraction of all images if below
            1. Which images are held out depends only on the total number.
        part: 'training' = all images that are not held out; 'validation' = the held-out ones.

    Raises:
        DataError: the folder is missing, incomplete or damaged.
        ConfigError: an argument is invalid, or selects labels that do not exist.
    """
    num_images: int

    @checked('dataset')
    def __init__(
        self,
        tfrecord_dir: FolderName,
        resolution: Resolution | None = None,
        label_file: LabelFile | None = None,
        max_label_size: Literal['full'] | Size = 0,
        repeat: bool = True,
        shuffle_mb: float = 4096,
        prefetch_mb: float = 2048,
        buffer_mb: float = 256,
        num_threads: int = 2,
        random_seed: SuppliedIfTaken[Size] = 0,
        verify: bool = True,
        validation: NonNegative = 0,
        part: SuppliedIfTaken[Literal['training', 'validation']] = 'training',
    ):
        del prefetch_mb, buffer_mb, num_threads
        self.tfrecord_dir = tfrecord_dir = expanded(tfrecord_dir)
        label_file = None if label_file is None else expanded(label_file)
        levels = _open_levels(tfrecord_dir, resolution)
        self._levels = [levels[size] for size in sorted(levels, reverse=True)]  # by lod
        total = self._levels[0].num_images
        self._numbers = _numbers_of_part(total, validation, part)
        self._part = {} if self._numbers is None else {'validation': validation, 'part': part}
        self._labels = load_labels(tfrecord_dir, label_file, max_label_size, total)
        if self._numbers is not None:
            self._labels = self._labels[self._numbers]
            self._labels.flags.writeable = False
        super().__init__(resolution=max(levels), num_channels=self._levels[0].shape[0],
                         dtype='uint8', dynamic_range=[0, 255], label_size=self._labels.shape[1],
                         label_dtype=self._labels.dtype.name)
        self.num_images = total if self._numbers is None else len(self._numbers)
        self.class_names = _names_of_labels(tfrecord_dir, label_file, max_label_size,
                                            self.label_size)
        self.repeat = bool(repeat)
        self.verify = bool(verify)
        self.shuffle = shuffle_mb > 0
        self.random_seed = int(random_seed)
        self._order_of = None  # (random_seed, epoch, shuffle) of self._order
        self._order = None
        self._labels_tf = None

    @property
    def labels(self) -> np.ndarray:  # type: ignore[override]
        """Labels of all images by image number, cut to max_label_size.

        A read-only array [num_images, label_size] of type label_dtype.
        """
        return self._labels

    def read_images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read images by number at full resolution; keep the position.

        Args:
            indices: numbers in the order on disk, 0 to num_images - 1.

        Returns:
            uint8 [n, C, R, R]
        """
        return self._level(0).read(self._on_disk(np.asarray(indices, np.int64)), self.verify)

    def get_random_labels_np(self, minibatch_size: int) -> np.ndarray:
        if self.label_size == 0:
            return self._no_labels(minibatch_size)
        return self._labels[np.random.randint(len(self._labels), size=minibatch_size)]

    def get_random_labels_tf(self, minibatch_size: 'int | tf.Tensor') -> 'tf.Tensor':
        import tensorflow as tf

        from tfutil import randomness
        if self.label_size == 0:
            return tf.zeros([minibatch_size, 0], self.label_dtype)
        if self._labels_tf is None:
            # One constant shared by all graphs, instead of a copy in each.
            with tf.init_scope():
                self._labels_tf = tf.constant(self._labels)
        return tf.gather(self._labels_tf, randomness.integers([minibatch_size], self.num_images))

    def state(self) -> dict[str, Any]:
        return {
            'position': self.position, 'num_images': self.num_images,
            'random_seed': self.random_seed, 'shuffle': self.shuffle, **self._part
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to the position, seed and shuffling at which `state` was taken.

        Raises:
            DataError: the state is of a data set with a different number of images.
        """
        if state['num_images'] != self.num_images:
            raise DataError(f'{self.tfrecord_dir!r} has {self.num_images} images, but the saved '
                            f'position is of a data set with {state["num_images"]}. Resume with '
                            'the data set that the run was started with.')
        self.position = int(state['position'])
        self.random_seed = int(state['random_seed'])
        self.shuffle = bool(state['shuffle'])

    def close(self) -> None:
        self._levels = []

    def _no_labels(self, count):
        return np.zeros([count, 0], self.label_dtype)

    def _level(self, lod):
        if not self._levels:
            raise DataError(f'the data set {self.tfrecord_dir!r} has been closed.')
        return self._levels[lod]

    def _read(self, position: int, count: int, lod: int) -> tuple[np.ndarray, np.ndarray]:
        level, indices = self._level(lod), self._indices(position, count)
        labels = self._labels[indices] if self.label_size else self._no_labels(len(indices))
        return level.read(self._on_disk(indices), self.verify), labels

    def _on_disk(self, indices):
        """Record numbers of images of this part."""
        return indices if self._numbers is None else self._numbers[indices]

    def _indices(self, position, count):
        """Numbers of the images at `position` to `position + count - 1` of the stream."""
        if not self.repeat:
            count = min(count, self.num_images - position)
            if count <= 0:
                raise StopIteration
        parts = []
        while count > 0:
            epoch, start = divmod(position, self.num_images)
            parts.append(self._epoch_order(epoch)[start:start + count])
            position += len(parts[-1])
            count -= len(parts[-1])
        return np.concatenate(parts)

    def _epoch_order(self, epoch):
        if not self.shuffle:
            epoch = 0
        if self._order_of != (self.random_seed, epoch, self.shuffle):
            self._order_of = (self.random_seed, epoch, self.shuffle)
            if self.shuffle:
                self._order = shuffled_order(self.num_images, self.random_seed, epoch)
            else:
                self._order = np.arange(self.num_images)
        return self._order


def _numbers_of_part(total, validation, part):
    """Numbers of the images of a part, ascending; None = all of them."""
    count = round(validation * total) if validation < 1 else validation
    if not validation and part == 'training':
        return None
    if count != int(count) or not 1 <= count < total:
        raise ConfigError(
            f'dataset.validation = {validation!r} of {total} images holds out {count:g}. Expected '
            'a whole number of images, at least 1 and not all of them, or a share between 0 and 1, '
            'e.g. dataset.validation=0.1.')
    # Random, because neighbours on disk are often similar, and so is every tenth image of a data
    # set with ten classes in turn.
    held_out = np.zeros(total, bool)
    held_out[shuffled_order(total, 0, 0)[:int(count)]] = True
    return np.flatnonzero(held_out if part == 'validation' else ~held_out)


def _names_of_labels(tfrecord_dir, label_file, max_label_size, label_size):
    """Class names of the components in use; None if missing, or if label_file is another file."""
    own = find_label_file(tfrecord_dir, None)
    if label_size == 0 or own is None or not os.path.samefile(
            find_label_file(tfrecord_dir, label_file), own):
        return None
    names = read_class_names(tfrecord_dir) or []
    fit = len(names) == label_size if max_label_size == 'full' else len(names) >= label_size
    return names[:label_size] if fit else None


def shuffled_order(num_images: int, random_seed: int, epoch: int) -> np.ndarray:
    """Image order of one epoch: a permutation of range(num_images).

    It depends only on the arguments.
    """
    # NumPy guarantees that RandomState's streams never change; Generator's may.
    bits = np.random.MT19937(np.random.SeedSequence([random_seed, epoch]))
    return np.random.RandomState(bits).permutation(num_images)


USUAL_DATA_DIR = 'datasets'  # default of config.py

# Command and arguments that create each data set of config.py; {} is its folder.
_RECIPES = {
    'celebahq': 'create_celebahq {} CELEBA_DIR DELTAS_DIR',
    'celeba': 'create_celeba {} CELEBA_DIR',
    'cifar10': 'create_cifar10 {} CIFAR10_DIR',
    'cifar100': 'create_cifar100 {} CIFAR100_DIR',
    'svhn': 'create_svhn {} SVHN_DIR',
    'mnist': 'create_mnist {} MNIST_DIR',
    'mnistrgb': 'create_mnistrgb {} MNIST_DIR',
    'digits': 'create_digits {}',
    'lsun': 'create_lsun {} LSUN_LMDB_DIR --resolution 256 --max_images 100000',
}


def creation_hint(tfrecord_dir: str | os.PathLike) -> str:
    """Sentence for a message: the command that creates a missing data set, chosen by its name."""
    name = os.path.basename(os.path.normpath(tfrecord_dir))
    recipe = _RECIPES.get('lsun' if name.startswith('lsun-') else name,
                          'create_from_images {} IMAGES_DIR')
    words = [word.format(os.fspath(tfrecord_dir)) for word in recipe.split()]
    return (f'Create it with: {command("dataset_tool.py", *words)} (add -h for help). To see a '
            f'training run without any data: {command("quickstart.sh")}')


def _open_levels(tfrecord_dir, resolution):
    """Open a folder's files.

    Returns:
        {resolution: opened file}, complete from 4 to the resolution to use.
    """
    levels = {}
    for path in _tfrecord_files(tfrecord_dir):
        file = records.open_records(path)
        _check_level(file, levels)
        levels[file.shape[1]] = file
    return _wanted_levels(tfrecord_dir, levels, resolution)


def _tfrecord_files(tfrecord_dir):
    """Paths of a data set's files. Raise DataError if there are none."""
    if not os.path.isdir(tfrecord_dir):
        raise _missing(tfrecord_dir)
    paths = sorted(glob.glob(os.path.join(glob.escape(tfrecord_dir), '*.tfrecords')))
    if not paths:
        raise DataError(f'the folder {tfrecord_dir!r} has no .tfrecords files: it is not a data '
                        f'set. {creation_hint(tfrecord_dir)}')
    return paths


def _missing(tfrecord_dir):
    """Return the DataError for a missing folder; raise it if the path is a packed archive."""
    check_unpacked(tfrecord_dir, 'the folder of a data set')
    if os.path.exists(tfrecord_dir):
        return DataError(f'{os.fspath(tfrecord_dir)!r} is a file. Expected the folder of a data '
                         'set, which holds its .tfrecords files.')
    parent, name = os.path.split(os.path.normpath(tfrecord_dir))
    place = '' if os.path.isabs(tfrecord_dir) else (' Looked in the current folder, for '
                                                    f'{os.path.abspath(tfrecord_dir)!r}.')
    hint = _elsewhere(parent, name) or _nearest(tfrecord_dir, parent, name)
    return DataError(f'dataset {os.fspath(tfrecord_dir)!r} not '
                     f'found.{place}{hint} {creation_hint(tfrecord_dir)}')


def _elsewhere(parent, name):
    """Hint for a data set that exists in USUAL_DATA_DIR instead of the current folder, or ''."""
    path = os.path.join(USUAL_DATA_DIR, name)
    return f' Did you mean {path!r}?' if not parent and _is_dataset(path) else ''


def _nearest(tfrecord_dir, parent, name):
    """Hint for a misspelt name: the name for `dataset.tfrecord_dir` and the path, or ''."""
    places = [tfrecord_dir, *([] if parent else [os.path.join(USUAL_DATA_DIR, name)])]
    found = [path for place in places if (path := nearest_existing(place, folders_only=True))]
    return f' Did you mean {os.path.basename(found[0])!r} ({found[0]})?' if found else ''


def _is_dataset(folder):
    return bool(glob.glob(os.path.join(glob.escape(folder), '*.tfrecords')))


def _check_level(file, levels):
    """Check one file by itself and against the files of other resolutions."""
    channels, height, width = file.shape
    if height != width or not is_resolution(height):
        raise DataError(f'{file.path!r} has images of {width}x{height}. Expected squares with '
                        'sides of 4, 8, 16 and so on.')
    if height in levels:
        raise DataError(f'{file.path!r} and {levels[height].path!r} both have images of '
                        f'{width}x{height}. Remove one of the two files.')
    for other in levels.values():
        if other.num_images != file.num_images or other.shape[0] != channels:
            raise DataError(f'{file.path!r} has {file.num_images} images with {channels} '
                            f'channels, {other.path!r} has {other.num_images} with '
                            f'{other.shape[0]}. All files of a data set must hold the same images; '
                            'create the data set again.')


def _wanted_levels(tfrecord_dir, levels, resolution):
    top = resolution or max(levels)
    if top > max(levels):
        raise DataError(f'the data set {tfrecord_dir!r} has no images of {top}x{top}; its largest '
                        f'are {max(levels)}x{max(levels)}. Leave resolution out, or lower it.')
    wanted = [1 << n for n in range(2, log2_of(top) + 1)]
    missing = [f'{size}x{size}' for size in wanted if size not in levels]
    if missing:
        raise DataError(f'the data set {tfrecord_dir!r} has no file for {", ".join(missing)}. '
                        'Expected one .tfrecords file for each resolution from 4x4 to '
                        f'{top}x{top}. {creation_hint(tfrecord_dir)}')
    return {size: levels[size] for size in wanted}


# --------------------------------------------------------------------------------------------------
# Data sets in memory.


def _is_type_of_numbers(value):
    try:
        return value is not None and np.dtype(value).kind in 'fiu'
    except TypeError:
        return False


NumericType = Annotated[Any, Such("a numeric type, e.g. 'uint8' or 'float32'",
                                  _is_type_of_numbers)]


class SyntheticDataset(Dataset):
    """An endless stream of black images, for measuring speed and memory.

    Override `_generate_images` and `_generate_labels` to produce others.

    Args:
        resolution: resolution of the full images, a power of two, at least 4.
        num_channels, dtype, dynamic_range, label_size, label_dtype: see Dataset.
    """

    @checked('dataset')
    def __init__(
        self,
        resolution: Resolution = 1024,
        num_channels: Literal[1, 3] = 3,
        dtype: NumericType = 'uint8',
        dynamic_range: ValueRange = (0, 255),  # type: ignore[assignment]
        label_size: Size = 0,
        label_dtype: NumericType = 'float32',
    ):
        super().__init__(resolution, num_channels, dtype, dynamic_range, label_size, label_dtype)

    def get_random_labels_np(self, minibatch_size: int) -> np.ndarray:
        return np.asarray(self._generate_labels(minibatch_size))

    def get_random_labels_tf(self, minibatch_size: 'int | tf.Tensor') -> 'tf.Tensor':
        import tensorflow as tf
        if self.label_size == 0 or type(self)._generate_labels is SyntheticDataset._generate_labels:
            return tf.zeros([minibatch_size, self.label_size], self.label_dtype)
        if tf.executing_eagerly():
            return tf.convert_to_tensor(self._generate_labels(minibatch_size))
        # A direct call would become a constant of the traced graph; numpy_function makes new labels
        # on each execution.
        labels = tf.numpy_function(
            lambda count: np.asarray(self._generate_labels(int(count)), self.label_dtype),
            [minibatch_size], self.label_dtype)
        return tf.ensure_shape(labels, [tf.get_static_value(minibatch_size), self.label_size])

    def _generate_images(self, minibatch_size: int, lod: int, shape: list[int]) -> 'ArrayOrTensor':
        """Generate images: an array or tensor [minibatch_size, *shape].

        Args:
            minibatch_size: number of images.
            lod: level of detail of the images.
            shape: [C, r, r] at that lod.
        """
        del lod
        return np.full([minibatch_size, *shape], self.dynamic_range[0], self.dtype)

    def _generate_labels(self, minibatch_size: int) -> 'ArrayOrTensor':
        """Generate labels: an array or tensor [minibatch_size, label_size]."""
        return np.zeros([minibatch_size, self.label_size], self.label_dtype)

    def _read(self, position: int, count: int, lod: int) -> 'tuple[ArrayOrTensor, ArrayOrTensor]':
        return self._generate_images(count, lod, self._shape_at(lod)), self._generate_labels(count)


# --------------------------------------------------------------------------------------------------
# The entry point.


OWN_CLASS = 'dataset.TFRecordDataset'


def load_dataset(class_name: DottedName = OWN_CLASS,
                 data_dir: SuppliedIfTaken[str | None] = None,
                 verbose: SuppliedIfTaken[bool] = False, **kwargs: Any) -> Dataset:
    """Create the data set that the `dataset` line of config.py describes.

    Args:
        class_name: dotted name of the class.
        data_dir: folder of all data sets; a relative tfrecord_dir is resolved against it.
        verbose: print class, shape, range and label size.
        **kwargs: arguments of the class.

    Raises:
        ConfigError: the class does not exist, or does not have an argument.
        DataError: the data set is missing or damaged.
    """
    # Imported late: tfutil imports TensorFlow, which reading data does not need.
    from tfutil.objects import import_obj
    if 'tfrecord_dir' in kwargs and data_dir is not None:
        kwargs['tfrecord_dir'] = _below(data_dir, kwargs['tfrecord_dir'])
    if verbose:
        print(f'Streaming data using {class_name}...')
    cls = import_obj(class_name)
    if not callable(cls):
        raise ConfigError('class_name must be the dotted name of a class, e.g. '
                          f"'dataset.TFRecordDataset'. Received: {class_name!r}.")
    _check_arguments(cls, class_name, kwargs)
    dataset = cls(**kwargs)
    if verbose:
        print('Dataset shape =', [int(size) for size in dataset.shape])
        print('Dynamic range =', list(dataset.dynamic_range))
        print('Label size    =', dataset.label_size)
    return dataset


def check_present(options: Mapping[str, Any], data_dir: str) -> None:
    """Check that the data set of `load_dataset` exists, without TensorFlow, which takes seconds to
    start. Classes other than `TFRecordDataset` are not checked.

    Raises:
        ConfigError: tfrecord_dir is not the name of a folder.
        DataError: the data set is missing.
    """
    is_own = options.get('class_name', OWN_CLASS) == OWN_CLASS
    if is_own and 'tfrecord_dir' in options:
        _tfrecord_files(_below(data_dir, options['tfrecord_dir']))


def _below(data_dir, tfrecord_dir):
    """Path of a data set in data_dir. Raise DataError if tfrecord_dir repeats data_dir."""
    check_kind('dataset.tfrecord_dir', tfrecord_dir, kind_of(FolderName))
    data_dir, tfrecord_dir = expanded(data_dir), expanded(tfrecord_dir)
    path = os.path.join(data_dir, tfrecord_dir)
    if not os.path.isdir(path):
        parent = os.path.dirname(os.path.normpath(data_dir))
        for other in (tfrecord_dir, os.path.join(parent, tfrecord_dir)):
            if os.path.isdir(other):
                raise DataError(f'dataset {path!r} not found, but {other!r} is there. Give '
                                f'tfrecord_dir relative to data_dir, which is {data_dir!r}: '
                                f'{os.path.relpath(other, data_dir)!r} instead of '
                                f'{os.fspath(tfrecord_dir)!r}.')
    return path


def _check_arguments(cls, class_name, kwargs):
    known = options_of(cls)
    for name in kwargs:
        if name not in known and rest_of(cls) is None:
            raise ConfigError(f'{class_name} has no option {name!r}.{did_you_mean(name, known)} '
                              f'It has: {", ".join(known)}.')
    missing = [
        name for name, option in known.items()
        if option.default is REQUIRED and name not in kwargs
    ]
    if missing:
        raise ConfigError(f'the dataset options lack {", ".join(missing)}, which {class_name} '
                          "needs. Set e.g. dataset = EasyDict(tfrecord_dir='mnist') in config.py.")
