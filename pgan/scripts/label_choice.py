"""Which labels to feed a conditional network: those of its data set, one class for all, or a class
per row.
"""
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import misc
from pgan.errors import ConfigError, UserError
from pgan.options import is_integer
from pgan.scripts.generator import label_size

if TYPE_CHECKING:
    from tfutil import Network


def label_source(labels: int | str | None, Gs: 'Network', network_pkl: str, config: ModuleType,
                 random_seed: int) -> Callable[[Sequence[int]], np.ndarray]:
    """How to label the cells of image grids.

    Args:
        labels: None = labels of the run's data set at random; k = class k for all; 'rows' = row r
            of a grid shows class r, and so on from the first class again.
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
    _check_labels(labels, size)
    if size == 0:
        return lambda grid_size: np.zeros([_cells(grid_size), 0], np.float32)
    classes = np.eye(size, dtype=np.float32)
    if labels is None:
        rows = _labels_of_run(network_pkl, size, config)
        rows = classes if rows is None else rows
        # Not RandomState(random_seed) itself: the bits that choose the labels would be those that
        # make the latents.
        random_state = np.random.RandomState([random_seed, 1])
        return lambda grid_size: np.asarray(
            rows[random_state.randint(len(rows), size=_cells(grid_size))], np.float32)
    if labels == 'rows':
        return lambda grid_size: classes[(np.arange(grid_size[1]) % size).repeat(grid_size[0])]
    return lambda grid_size: classes[np.full(_cells(grid_size), labels)]


def _check_labels(labels, size):
    """Raise ConfigError if a network with labels of `size` components cannot be given `labels`."""
    if labels is not None and size == 0:
        raise ConfigError('train.labels: this network was trained without labels, so it has no '
                          f'classes to choose from. Received: {labels!r}. Leave train.labels out, '
                          'or choose a run that was trained with dataset.max_label_size.')
    if is_integer(labels) and labels >= size:
        raise ConfigError(f'train.labels: expected a class from 0 to {size - 1}, as the labels of '
                          f'this network have {size} components. Received: {labels!r}.')


def _cells(grid_size):
    return grid_size[0] * grid_size[1]


def _labels_of_run(network_pkl, size, config):
    """The labels of all images that a run was trained on, [images, size], or None, which is said
    aloud.
    """
    folder = os.path.dirname(network_pkl) or os.curdir
    try:
        data, _ = misc.load_dataset_for_previous_run(folder, result_dir=config.result_dir,
                                                     data_dir=config.data_dir)
        labels = data.labels
        data.close()
    except UserError as error:
        return _no_labels(str(error))
    if labels is None or labels.shape[1:] != (size,) or not len(labels):
        return _no_labels(f'Its labels have {data.label_size} components, those of the network '
                          f'{size}, or its images have no end.')
    return labels


def _no_labels(reason):
    print('Note: the labels of the data set that the run was trained on cannot be had, so each '
          f'image gets a class at random. {reason}')
