"""Choice of labels for a conditional network: those of its data set, one class for all images, or a
class per row. Classes are chosen by number or name.
"""
import os
import unicodedata
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import misc
from dataset import Dataset
from pgan.data.class_names import ROWS_FILE, names_of, row_lines
from pgan.errors import ConfigError, UserError, did_you_mean
from pgan.files import atomic_write
from pgan.options import is_integer
from pgan.scripts.generator import label_size

if TYPE_CHECKING:
    from tfutil import Network

SHOWN = 10  # number of class names in a message


def label_source(labels: int | str | None, Gs: 'Network', network_pkl: str, config: ModuleType,
                 random_seed: int) -> Callable[[Sequence[int]], np.ndarray]:
    """Return a function that labels the cells of image grids.

    Args:
        labels: None = random labels of the run's data set; a class, by number or name, for all
            cells; 'rows' = class r in row r, starting over after the last class.
        Gs: the network. If it has no labels, only None is allowed.
        network_pkl: path of its pickle. The run's config.txt next to it names the data set.
        config: the configuration; result_dir and data_dir are used.
        random_seed: seed of the random choice. The choice has its own random generator, so it does
            not change the latents of the same seed.

    Returns:
        Function of grid_size (columns, rows) to float32 [columns * rows, label size]. Each call
        makes a new random choice.

    Raises:
        ConfigError: there is no such class, or the network takes no labels.
    """
    size = label_size(Gs)
    if labels is not None and size == 0:
        raise ConfigError('train.labels: this network was trained without labels, so it has no '
                          f'classes to choose from. Received: {labels!r}. Leave train.labels out, '
                          'or choose a run that was trained with dataset.max_label_size.')
    if size == 0:
        return lambda grid_size: np.zeros([_cells(grid_size), 0], np.float32)
    classes = np.eye(size, dtype=np.float32)
    if labels is None:
        rows = labels_to_draw_from(Gs, network_pkl, config)
        random_state = _random_state(random_seed)
        return lambda grid_size: _drawn(rows, random_state, _cells(grid_size))
    if labels == 'rows':
        return lambda grid_size: classes[(np.arange(grid_size[1]) % size).repeat(grid_size[0])]
    number = class_number(labels, Gs, network_pkl, config, 'train.labels')
    return lambda grid_size: classes[np.full(_cells(grid_size), number)]


def labels_of_seeds(labels: int | str | None, Gs: 'Network', network_pkl: str, config: ModuleType,
                    seeds: Sequence[int]) -> np.ndarray:
    """Return labels of one image per seed: float32 [seeds, label size].

    A random label depends only on the image's seed. It is the label of the first image with the
    same random_seed.

    Args:
        seeds: one for each image.
        others: see `label_source`; labels = 'rows' is an error, as there are no rows.

    Raises:
        ConfigError: see `label_source`.
    """
    if labels == 'rows':
        raise ConfigError('train.labels: expected a class with train.seeds, as each seed makes a '
                          "separate image without rows. Received: 'rows'.")
    if labels is None and label_size(Gs) > 0:
        rows = labels_to_draw_from(Gs, network_pkl, config)
        return np.concatenate([label_of_seed(rows, seed) for seed in seeds])
    return label_source(labels, Gs, network_pkl, config, 0)([1, len(seeds)])


def labels_to_draw_from(Gs: 'Network', network_pkl: str, config: ModuleType) -> np.ndarray:
    """Return the labels of the run's data set, [images, label size].

    If the data set is not available, return one label of each class.

    Args:
        Gs, network_pkl, config: see `label_source`.
    """
    size = label_size(Gs)
    rows = _labels_of_run(network_pkl, size, config)
    return np.eye(size, dtype=np.float32) if rows is None else rows


def label_of_seed(rows: np.ndarray, seed: int) -> np.ndarray:
    """Return the label that a seed draws from `rows`: float32 [1, label size]."""
    return _drawn(rows, _random_state(seed), 1)


def _random_state(random_seed):
    # RandomState(random_seed) itself would draw labels with the same bits as the latents.
    return np.random.RandomState([random_seed, 1])


def _drawn(rows, random_state, count):
    return np.asarray(rows[random_state.randint(len(rows), size=count)], np.float32)


# --------------------------------------------------------------------------------------------------
# Names.


def class_number(label: int | str, Gs: 'Network', network_pkl: str, config: ModuleType,
                 where: str) -> int:
    """Return the number of a class given by number or name.

    An integer is a class number if there is such a class; otherwise it is taken as a name. Names
    are those of the run's data set. Case is ignored if only one name matches.

    Args:
        label: number or name.
        Gs, network_pkl, config: see `label_source`.
        where: name of the option in messages.

    Raises:
        ConfigError: there is no such class.
    """
    size = label_size(Gs)
    if is_integer(label) and 0 <= label < size:  # type: ignore[operator]
        return int(label)
    names, reason = class_names(network_pkl, size, config)
    folded = [_folded(name) for name in names]
    for wanted, candidates in ((str(label), names), (_folded(label), folded)):
        if candidates.count(wanted) == 1:
            return candidates.index(wanted)
    hint = did_you_mean(label, [*names, 'rows'] if where == 'train.labels' else names)
    known = f', named {", ".join(names[:SHOWN])}{" and so on" if len(names) > SHOWN else ""}'
    if not names:
        known = '' if is_integer(label) else f'. Their names are not known: {reason.rstrip(".")}'
    raise ConfigError(f'{where}: expected a class from 0 to {size - 1}, as the labels of this '
                      f'network have {size} components{known}. Received: {label!r}.{hint}')


def report_rows(result_subdir: str, labels: int | str | None, num_rows: int, Gs: 'Network',
                network_pkl: str, config: ModuleType) -> None:
    """Print the class of each row and write it to rows.txt, if rows are classes with names.

    Args:
        result_subdir: folder for the file.
        num_rows: rows of a grid.
        others: see `label_source`.
    """
    size = label_size(Gs)
    names, _ = class_names(network_pkl, size, config) if labels == 'rows' else ([], '')
    if names:
        text = row_lines(names, num_rows)
        print(text, end='')
        with atomic_write(os.path.join(result_subdir, ROWS_FILE)) as file:
            file.write(text.encode('utf-8', 'surrogateescape'))


def _folded(name):
    # accented letters may be composed differently when typed and in folder names
    return unicodedata.normalize('NFC', str(name)).casefold()


def class_names(network_pkl: str, size: int, config: ModuleType) -> tuple[list[str], str]:
    """Return the names of a run's classes, and the reason if there are none.

    Args:
        network_pkl, config: see `label_source`.
        size: components of the network's labels.
    """
    try:
        data = _dataset_of_run(network_pkl, config)
        names = names_of(data)
        data.close()
    except UserError as error:
        return [], str(error)
    if len(names) != size:
        return [], "the run's data set has no NAME-classes.txt that fits."
    return names, ''


def _cells(grid_size):
    return grid_size[0] * grid_size[1]


def _labels_of_run(network_pkl, size, config):
    """Return the labels of a run's training images, [images, size]; print a note and return None
    if they are not available.
    """
    try:
        data = _dataset_of_run(network_pkl, config)
        labels = data.labels
        data.close()
    except UserError as error:
        return _no_labels(str(error))
    if labels is None or labels.shape[1:] != (size,) or not len(labels):
        return _no_labels(f'Its labels have {data.label_size} components, those of the network '
                          f'{size}, or it has no fixed number of images.')
    return labels


def _dataset_of_run(network_pkl, config) -> Dataset:
    folder = os.path.dirname(network_pkl) or os.curdir
    data, _ = misc.load_dataset_for_previous_run(folder, result_dir=config.result_dir,
                                                 data_dir=config.data_dir, config=config)
    return data


def _no_labels(reason):
    print('Note: the labels of the data set that the run was trained on are not available, so '
          f'each image gets a random class. {reason}')
