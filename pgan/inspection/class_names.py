"""Labels in words."""
import glob
import os

import numpy as np


def is_one_hot(labels):
    """Whether labels [n, components] stand for classes: a single 1 in each row, and otherwise 0."""
    return labels.ndim == 2 and labels.size > 0 and bool(
        ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())


def read_class_names(tfrecord_dir):
    """The lines of the folder's NAME-classes.txt, or None if it has none."""
    path = next(iter(sorted(glob.glob(os.path.join(glob.escape(tfrecord_dir), '*-classes.txt')))),
                None)
    if path is None:
        return None
    try:
        with open(path, encoding='utf-8-sig', errors='surrogateescape') as file:
            return [line.rstrip('\n') for line in file]
    except OSError:
        return None  # numbers do as well


def class_texts(tfrecord_dir, labels):
    """What to call each class, e.g. '3' or '3 cat'; None if labels [n, components] are not
    one-hot.
    """
    if not is_one_hot(labels):
        return None
    names = read_class_names(tfrecord_dir)
    if names is None or len(names) != labels.shape[1]:
        names = [''] * labels.shape[1]
    return [f'{number} {name}'.rstrip() for number, name in enumerate(names)]


def full_label(label, classes):
    """All components of a label, and its class if it has one, as the end of a line; '' if it has no
    components.
    """
    text = f': label [{", ".join(f"{value:g}" for value in label)}]' if label.size else ''
    return text if classes is None else f'{text}, class {classes[int(np.argmax(label))]}'


def short_label(label, classes):
    """A label in few characters; '' if it has no components."""
    return ' '.join(f'{value:.3g}'
                    for value in label) if classes is None else classes[int(np.argmax(label))]
