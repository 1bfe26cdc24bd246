"""Two data sets side by side."""
import itertools
import sys
from typing import Literal

import numpy as np
from tqdm import tqdm

from pgan.data.class_names import read_class_names
from pgan.inspection.reading import in_order, open_in_order
from pgan.progress_bar import progress_bar


def compare(tfrecord_dir_a: str, tfrecord_dir_b: str, ignore_labels: Literal[0, 1] = 0) -> None:
    """Compare two datasets.

    Args:
        tfrecord_dir_a: folder of the first data set
        tfrecord_dir_b: folder of the second data set
        ignore_labels: do not compare labels and names of classes

    Example:
        python dataset_tool.py compare datasets/mnist other/mnist
    """
    dset_a, dset_b = (open_in_order(folder, labels=not ignore_labels)
                      for folder in (tfrecord_dir_a, tfrecord_dir_b))
    pairs = [('images', dset_a.shape, dset_b.shape),
             ('label components', dset_a.label_size, dset_b.label_size)]
    for what, a, b in pairs:
        if a != b:
            print(f'note: they cannot be the same, as their {what} are {a} and {b}',
                  file=sys.stderr)
    print('Comparing datasets')
    number = same_images = same_labels = 0
    with progress_bar(total=min(dset_a.num_images, dset_b.num_images), delay=3, unit='img') as bar:
        for (image_a, label_a), (image_b, label_b) in zip(in_order(dset_a), in_order(dset_b)):
            same_images += _same('Image', number, image_a, image_b)
            same_labels += ignore_labels or _same('Label', number, label_a, label_b)
            number += 1
            bar.update()
    if dset_a.num_images != dset_b.num_images:
        print('Datasets contain different number of images')
    print(f'Identical images: {same_images} / {number}')
    if not ignore_labels:
        print(f'Identical labels: {same_labels} / {number}')
        _compare_class_names(tfrecord_dir_a, tfrecord_dir_b)


def _compare_class_names(*folders):
    """Nothing is printed if neither data set has names."""
    names = [read_class_names(folder) for folder in folders]
    if None not in names:
        pairs = list(itertools.zip_longest(*names))
        for number, (a, b) in enumerate(pairs):
            if a != b:
                print(f'Name of class {number} is different: {_quoted(a)}, {_quoted(b)}')
        print(f'Identical names of classes: {sum(a == b for a, b in pairs)} / {len(pairs)}')
    elif names != [None, None]:
        print(f'Only {folders[names[0] is None]!r} has names of classes')


def _quoted(name):
    return 'none' if name is None else repr(name)


def _same(what, number, a, b):
    if np.array_equal(a, b):
        return True
    tqdm.write(f'{what} {number} is different')
    return False
