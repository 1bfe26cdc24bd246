"""Classes of images by folder."""
import os
import re
from collections.abc import Sequence
from typing import Literal

from pgan.errors import DataError

Labels = Literal['folders', 'innermost']
# Common names of data set splits.
PARTS = frozenset(('dev', 'eval', 'holdout', 'test', 'testing', 'train', 'training', 'unlabeled',
                    'val', 'valid', 'validation'))


def class_folders(image_dir: str | os.PathLike, paths: Sequence[str], folders: Sequence[str],
                  labels: Labels) -> tuple[list[str], list[int]]:
    """Assign classes to a tree of images. Prints a note about folders without images.

    Args:
        image_dir: root folder.
        paths: paths of the images.
        folders: all folders of the tree.
        labels: 'folders' = the class is the top-level folder below image_dir; 'innermost' = the
            folder that directly contains the image.

    Returns:
        (class names in order, class number of each image).

    Raises:
        DataError: an image has no class, or there are less than two classes.
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
        raise DataError(f'--labels {labels}: {image_dir!r} has only one sub-folder, {names[0]!r}. '
                        'Expected at least two, one for each class; leave --labels out to import '
                        f'without labels.{deeper}')
    if is_deep and PARTS.issuperset(name.lower() for name in names):
        print(f'note: the classes are {", ".join(names)}, which are usual names of data set '
              'splits. If the folders in them are the classes: --labels innermost')
    _report_empty(image_dir, folders, labels, names)
    numbers = {name: number for number, name in enumerate(names)}
    return names, [numbers[steps[os.path.dirname(path)][which]] for path in paths]


def in_order(names: Sequence[str] | set[str]) -> list[str]:
    """Sort class names: numerically if all of them are numbers, else alphabetically."""
    if all(re.fullmatch(r'[+-]?\d+([.]\d+)?', name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def _steps(image_dir, folder):
    """Parts of a folder's path relative to image_dir."""
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
        print('note: folders without images are not classes: '
              f'{", ".join(map(repr, in_order(empty)))}')
