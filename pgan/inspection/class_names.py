"""Labels in words."""
import os
from collections.abc import Sequence

import numpy as np

from pgan.data.class_names import read_class_names


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether labels [n, components] stand for classes: a single 1 in each row, and otherwise 0."""
    if labels.ndim != 2 or labels.size == 0:
        return False
    are_bits = ((labels == 0) | (labels == 1)).all()
    return bool(are_bits and (labels.sum(axis=1) == 1).all())


def class_texts(tfrecord_dir: str | os.PathLike, labels: np.ndarray) -> list[str] | None:
    """What to call each class, e.g. '3' or '3 cat'.

    Args:
        tfrecord_dir: the folder that class names may be in.
        labels: [n, components].

    Returns:
        A text for each class; None if labels are not one-hot.
    """
    if not is_one_hot(labels):
        return None
    names = read_class_names(tfrecord_dir)
    if names is None or len(names) != labels.shape[1]:
        names = [''] * labels.shape[1]
    return [f'{number} {name}'.rstrip() for number, name in enumerate(names)]


def full_label(label: np.ndarray, classes: Sequence[str] | None) -> str:
    """All components of a label, and its class if it has one, as the end of a line.

    Returns:
        '': the label has no components.
    """
    text = f': label [{", ".join(f"{value:g}" for value in label)}]' if label.size else ''
    return text if classes is None else f'{text}, class {classes[int(np.argmax(label))]}'


def short_label(label: np.ndarray, classes: Sequence[str] | None) -> str:
    """A label in few characters; '' if it has no components."""
    if classes is None:
        return ' '.join(f'{value:.3g}' for value in label)
    return classes[int(np.argmax(label))]
