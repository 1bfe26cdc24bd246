"""Classes of images, by the folders that they are in."""
import os
import re
from collections.abc import Sequence
from typing import Literal

from pgan.errors import DataError

Labels = Literal['folders', 'innermost']
# names of the parts that data sets are cut into
PARTS = frozenset(('dev', 'eval', 'holdout', 'test', 'testing', 'train', 'training', 'unlabeled',
                    'val', 'valid', 'validation'))


def class_folders(image_dir: str | os.PathLike, paths: Sequence[str], folders: Sequence[str],
                  labels: Labels) -> tuple[list[str], list[int]]:
    """Classes of a tree of images. Says which folders are no classes, for want of images.

    Args:
        image_dir: the tree.
        paths: of its images.
        folders: all of its folders.
        labels: 'folders' = the class is the folder of image_dir that the file is in, whatever
            folders follow; 'innermost' = the folder that the file is directly in.

    Returns:
        (names of the classes in order, number of each image's class).

    Raises:
        DataError: an image without a class, or less than two classes.
    """
    steps = {folder: _steps(image_dir, folder) for folder in {*map(os.path.dirname, paths)}}
    lost = next((path for path in paths if not steps[os.path.dirname(path)]), None)
    if lost is not None:
        raise DataError(f'--labels {labels}: {lost!r} is in none of the sub-folders of '
                        f'{image_dir!r}, so it has no class. Expected one sub-folder of images '
                        'for each class; move it to one of them.')
    which = 0 if labels == 'folders' else -1
    names = in_order({parts[which] for parts in steps.values()})
    is_deep = labels == 'folders' and any(len(parts) > 1 for parts in steps.values())
    if len(names) < 2:
        deeper = ' If the folders in it are the classes: --labels innermost.' if is_deep else ''
        raise DataError(f'--labels {labels}: {image_dir!r} has the one sub-folder {names[0]!r}. '
                        'Expected at least two, one for each class; leave --labels out to go '
                        f'without labels.{deeper}')
    if is_deep and PARTS.issuperset(name.lower() for name in names):
        print(f'note: the classes are {", ".join(names)}, which are names of parts of a data set. '
              'If the folders in them are the classes: --labels innermost')
    _report_empty(image_dir, folders, labels, names)
    numbers = {name: number for number, name in enumerate(names)}
    return names, [numbers[steps[os.path.dirname(path)][which]] for path in paths]


def in_order(names: Sequence[str] | set[str]) -> list[str]:
    """Sort names of classes: as numbers where all of them are numbers, else as text."""
    if all(re.fullmatch(r'[+-]?\d+([.]\d+)?', name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def _steps(image_dir, folder):
    """Names of the folders that lead from image_dir to a folder."""
    path = os.path.relpath(folder, image_dir)
    return [] if path == os.curdir else path.split(os.sep)


def _report_empty(image_dir, folders, labels, names):
    parts = [_steps(image_dir, folder) for folder in folders]
    inner = {tuple(steps[:-1]) for steps in parts}
    if labels == 'folders':
        empty = [steps[0] for steps in parts if len(steps) == 1 and steps[0] not in names]
    else:
        empty = [steps[-1] for steps in parts
                 if steps and tuple(steps) not in inner and steps[-1] not in names]
    if empty:
        print(f'note: without images, and so no classes: {", ".join(map(repr, in_order(empty)))}')
