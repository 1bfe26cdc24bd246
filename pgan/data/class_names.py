"""Names of classes: those of a data set, and of the rows of a picture."""
import glob
import os
from collections.abc import Sequence
from typing import Any

ROWS_FILE = 'rows.txt'  # beside pictures of which each row shows a class


def read_class_names(tfrecord_dir: str | os.PathLike) -> list[str] | None:
    """The lines of the folder's NAME-classes.txt, or None if it has none."""
    folder = glob.escape(os.fspath(tfrecord_dir))
    paths = sorted(glob.glob(os.path.join(folder, '*-classes.txt')))
    if not paths:
        return None
    try:
        with open(paths[0], encoding='utf-8-sig', errors='surrogateescape') as file:
            lines = [line.strip() for line in file]
    except OSError:
        return None  # numbers do as well
    while lines and not lines[-1]:  # an editor may have added them
        lines.pop()
    return lines


def names_of(data: Any) -> list[str]:
    """A data set's attribute `class_names`, one for each component of its labels; [] without it.

    A data set of the user's own need not have it.
    """
    names = getattr(data, 'class_names', None)
    if names is None or len(names) != data.label_size:
        return []
    return [str(name) for name in names]


def row_lines(names: Sequence[str], num_rows: int) -> str:
    """The content of ROWS_FILE: which class each row of a picture shows, a line for each."""
    classes = [row % len(names) for row in range(num_rows)]
    return ''.join(f'row {row}: class {number}, {names[number]}\n'
                   for row, number in enumerate(classes))
