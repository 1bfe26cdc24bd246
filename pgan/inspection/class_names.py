"""Labels as text."""
import os
from collections.abc import Sequence

import numpy as np

from pgan.data.class_names import read_class_names


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether labels [n, components] are one-hot: a single 1 in each row, all others 0."""
    if labels.ndim != 2 or labels.size == 0:
        return False
    are_bits = ((labels == 0) | (labels == 1)).all()
    return bool(are_bits and (labels.sum(axis=1) == 1).all())


def class_texts(tfrecord_dir: str | os.PathLike, labels: np.ndarray) -> list[str] | None:
    """Display names of classes, e.g. '3' or '3 cat'.

    Args:
        tfrecord_dir: folder of the data set, which may contain class names.
        labels: [n, components].

    Returns:
        A string for each class; None if labels are not one-hot.
    """
    if not is_one_hot(labels):
        return None
    names = read_class_names(tfrecord_dir)
    if names is None or len(names) != labels.shape[1]:
        names = [''] * labels.shape[1]
    return [f'{number} {name}'.rstrip() for number, name in enumerate(names)]


def full_label(label: np.ndarray, classes: Sequence[str] | None) -> str:
    """All components of a label, and its class if any, as the end of a line.

    Returns:
        A string; '' if the label has no components.
    """
    text = f': label [{", ".join(f"{value:g}" for value in label)}]' if label.size else ''
    return text if classes is None else f'{text}, class {classes[int(np.argmax(label))]}'


def short_label(label: np.ndarray, classes: Sequence[str] | None) -> str:
    """Short form of a label; '' if it has no components."""
    if classes is None:
        return ' '.join(f'{value:.3g}' for value in label)
    return classes[int(np.argmax(label))]
