"""Comparison of two data sets."""
import itertools
import sys
from typing import Literal

import numpy as np
from tqdm import tqdm

from pgan.data.class_names import read_class_names
from pgan.inspection.reading import in_order, open_in_order
from pgan.progress_bar import progress_bar

LISTED = 50  # maximum number of differing images, labels or class names to list


def compare(tfrecord_dir_a: str, tfrecord_dir_b: str, ignore_labels: Literal[0, 1] = 0) -> None:
    """Compare two datasets.

    Args:
        tfrecord_dir_a: folder of the first data set
        tfrecord_dir_b: folder of the second data set
        ignore_labels: do not compare labels and class names

    Example:
        python dataset_tool.py compare datasets/mnist other/mnist
    """
    dset_a, dset_b = (open_in_order(folder, labels=not ignore_labels)
                      for folder in (tfrecord_dir_a, tfrecord_dir_b))
    _note_unlike('images', dset_a.shape, dset_b.shape)
    _note_unlike('label components', dset_a.label_size, dset_b.label_size)
    print('Comparing datasets')
    images, labels = _Count('Image'), _Count('Label')
    compares_labels = not ignore_labels and dset_a.label_size == dset_b.label_size
    with progress_bar(total=min(dset_a.num_images, dset_b.num_images), delay=3, unit='img') as bar:
        for (image_a, label_a), (image_b, label_b) in zip(in_order(dset_a), in_order(dset_b)):
            images.compare(image_a, image_b)
            if compares_labels:
                labels.compare(label_a, label_b)
            bar.update()
    images.print_rest()
    labels.print_rest()
    if dset_a.num_images != dset_b.num_images:
        print('Datasets contain different number of images')
    print(f'Identical images: {images.same} / {images.seen}')
    if not ignore_labels:
        sizes = {tfrecord_dir_a: dset_a.label_size, tfrecord_dir_b: dset_b.label_size}
        without = [folder for folder, size in sizes.items() if size == 0]
        if compares_labels:
            print(f'Identical labels: {labels.same} / {labels.seen}')
        elif without:
            print(f'Labels were not compared: {without[0]!r} has none')
        else:
            print('Labels were not compared: they differ in the number of components')
        _compare_class_names(tfrecord_dir_a, tfrecord_dir_b)


def _note_unlike(what, a, b):
    if a != b:
        print(f'note: the data sets differ in their {what}: {a} and {b}', file=sys.stderr)


def _compare_class_names(*folders):
    """Compare class names; print nothing if neither data set has any."""
    names = [read_class_names(folder) for folder in folders]
    if None not in names:
        pairs = list(itertools.zip_longest(*names))
        unlike = [(number, a, b) for number, (a, b) in enumerate(pairs) if a != b]
        for number, a, b in unlike[:LISTED]:
            print(f'Name of class {number} is different: {_quoted(a)}, {_quoted(b)}')
        if len(unlike) > LISTED:
            print(f'Names of {len(unlike) - LISTED} more classes are different')
        print(f'Identical names of classes: {sum(a == b for a, b in pairs)} / {len(pairs)}')
    elif names != [None, None]:
        print(f'Only {folders[names[0] is None]!r} has names of classes')


def _quoted(name):
    return 'none' if name is None else repr(name)


class _Count:
    """Counts equal pairs of images or labels, and lists the first LISTED that differ."""

    def __init__(self, what):
        self.what = what
        self.seen = self.same = 0

    def compare(self, a, b):
        if np.array_equal(a, b):
            self.same += 1
        elif self.seen - self.same < LISTED:
            tqdm.write(f'{self.what} {self.seen} is different')
        self.seen += 1

    def print_rest(self):
        rest = self.seen - self.same - LISTED
        if rest > 0:
            print(f'{rest} more {self.what.lower()}s are different')
