"""Class names of data sets, and of the rows of image grids."""
import glob
import os
from collections.abc import Sequence
from typing import Any

ROWS_FILE = 'rows.txt'  # in the folder of image grids with one class per row


def read_class_names(tfrecord_dir: str | os.PathLike) -> list[str] | None:
    """Read the lines of the folder's NAME-classes.txt; None if the file does not exist."""
    folder = glob.escape(os.fspath(tfrecord_dir))
    paths = sorted(glob.glob(os.path.join(folder, '*-classes.txt')))
    if not paths:
        return None
    try:
        with open(paths[0], encoding='utf-8-sig', errors='surrogateescape') as file:
            lines = [line.strip() for line in file]
    except OSError:
        return None  # classes are then numbered
    while lines and not lines[-1]:  # drop trailing blank lines, which an editor may have added
        lines.pop()
    return lines


def names_of(data: Any) -> list[str]:
    """Attribute `class_names` of a data set, one name per label component.

    [] if the attribute is missing, as it may be in a user's class, or has another length.
    """
    names = getattr(data, 'class_names', None)
    if names is None or len(names) != data.label_size:
        return []
    return [str(name) for name in names]


def row_lines(names: Sequence[str], num_rows: int) -> str:
    """Content of ROWS_FILE: a line per row of an image grid with the row's class."""
    classes = [row % len(names) for row in range(num_rows)]
    return ''.join(f'row {row}: class {number}, {names[number]}\n'
                   for row, number in enumerate(classes))
