"""Which labels to feed a conditional network: those of its data set, one class for all, or a class
per row. Classes go by number or name.
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

SHOWN = 10  # names of classes in a message


def label_source(labels: int | str | None, Gs: 'Network', network_pkl: str, config: ModuleType,
                 random_seed: int) -> Callable[[Sequence[int]], np.ndarray]:
    """How to label the cells of image grids.

    Args:
        labels: None = labels of the run's data set at random; a class, by number or name, for all;
            'rows' = row r of a grid shows class r, and so on from the first class again.
        Gs: the network; it may have no labels, then only None is legal.
        network_pkl: path of its pickle; the run's config.txt stands beside it and names the data
            set.
        config: the configuration's values result_dir and data_dir.
        random_seed: of the random choice, which has random numbers of its own: latents of the same
            seed are as ever.

    Returns:
        A function: grid_size (columns, rows) -> float32 [columns * rows, label size]. Each call
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
    """Labels of one image a seed: float32 [seeds, label size]. A label that is drawn at random
    depends on the image's own seed alone, and is that of the first image of the same random_seed.

    Args:
        seeds: one for each image.
        others, and what is raised: see `label_source`; 'rows' is no choice, as there are no rows.
    """
    if labels == 'rows':
        raise ConfigError('train.labels: with train.seeds expected a class, as each seed makes an '
                          "image of its own, without rows. Received: 'rows'.")
    if labels is None and label_size(Gs) > 0:
        rows = labels_to_draw_from(Gs, network_pkl, config)
        return np.concatenate([label_of_seed(rows, seed) for seed in seeds])
    return label_source(labels, Gs, network_pkl, config, 0)([1, len(seeds)])


def labels_to_draw_from(Gs: 'Network', network_pkl: str, config: ModuleType) -> np.ndarray:
    """Labels of the run's data set, or one of each class where it cannot be had: [images, label
    size].

    Args:
        Gs, network_pkl, config: see `label_source`.
    """
    size = label_size(Gs)
    rows = _labels_of_run(network_pkl, size, config)
    return np.eye(size, dtype=np.float32) if rows is None else rows


def label_of_seed(rows: np.ndarray, seed: int) -> np.ndarray:
    """The label that a seed draws of `labels_to_draw_from`: float32 [1, label size]."""
    return _drawn(rows, _random_state(seed), 1)


def _random_state(random_seed):
    # Not RandomState(random_seed) itself: the bits that choose the labels would be those that make
    # the latents.
    return np.random.RandomState([random_seed, 1])


def _drawn(rows, random_state, count):
    return np.asarray(rows[random_state.randint(len(rows), size=count)], np.float32)


# --------------------------------------------------------------------------------------------------
# Names.


def class_number(label: int | str, Gs: 'Network', network_pkl: str, config: ModuleType,
                 where: str) -> int:
    """The number of a class that is given by number or by name.

    An integer is a number if there is a class of that number, else the name that it spells. Names
    are those of the run's data set; capitals do not matter where only one name fits.

    Args:
        label: number or name.
        Gs, network_pkl, config: see `label_source`.
        where: the option's name in messages.

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
    """Print which class each row shows, and write it to rows.txt, if rows are classes with names.

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
    # typed letters with accents may be composed otherwise than those of a folder's name
    return unicodedata.normalize('NFC', str(name)).casefold()


def class_names(network_pkl: str, size: int, config: ModuleType) -> tuple[list[str], str]:
    """Names of a run's classes, and why there are none.

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
    """The labels of all images that a run was trained on, [images, size], or None, which is said
    aloud.
    """
    try:
        data = _dataset_of_run(network_pkl, config)
        labels = data.labels
        data.close()
    except UserError as error:
        return _no_labels(str(error))
    if labels is None or labels.shape[1:] != (size,) or not len(labels):
        return _no_labels(f'Its labels have {data.label_size} components, those of the network '
                          f'{size}, or its images have no end.')
    return labels


def _dataset_of_run(network_pkl, config) -> Dataset:
    folder = os.path.dirname(network_pkl) or os.curdir
    data, _ = misc.load_dataset_for_previous_run(folder, result_dir=config.result_dir,
                                                 data_dir=config.data_dir, config=config)
    return data


def _no_labels(reason):
    print('Note: the labels of the data set that the run was trained on cannot be had, so each '
          f'image gets a class at random. {reason}')
