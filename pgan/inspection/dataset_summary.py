"""Summary of a data set: files, labels and class counts."""
import glob
import os
import sys

import numpy as np
from tqdm import tqdm

import dataset
from pgan.data import records
from pgan.data.class_names import read_class_names
from pgan.errors import DataError
from pgan.inspection.class_names import class_texts
from pgan.inspection.verification import verify_records

MAX_CLASSES = 100  # With more classes, only a summary is printed.
MAX_COMPONENTS = 40
BAR_LENGTH = 40


def info(tfrecord_dir: str, verify: bool = False) -> None:
    """Print a summary of a dataset, and check it.

    Args:
        tfrecord_dir: folder of the data set
        verify: read all files, and check the checksum of every record

    Example:
        python dataset_tool.py info datasets/mnist --verify
    """
    files = _open_files(tfrecord_dir)
    sound = [file for _, file in files if not isinstance(file, DataError)]
    top = max(sound, key=lambda file: file.shape[1], default=None)
    labels = _open_labels(tfrecord_dir)
    shown = (labels is not None and labels.ndim == 2 and labels.size > 0
             and labels.dtype.kind in 'fiu')
    classes = class_texts(tfrecord_dir, labels) if shown else None
    has_labels = dataset.has_labels(tfrecord_dir)
    _print_rows([
        ('Folder', tfrecord_dir),
        ('Images', top.num_images if top else 'unknown'),
        ('Resolution', _size_text(top)),
        ('Channels', _channels_text(top)),
        ('Labels', _labels_text(labels, classes, has_labels)),
    ], '<<')
    _print_files(files)
    if classes is not None:
        _print_classes(tfrecord_dir, labels, classes)
    elif shown:
        _print_components(labels)
    sys.stdout.flush()
    if verify:
        verify_records(tfrecord_dir, files)
    # Raises DataError if files are missing or inconsistent.
    dataset.TFRecordDataset(tfrecord_dir, max_label_size='full' if has_labels else 0)
    if verify:
        print(f'\nAll {sum(file.num_images for file in sound)} records of {len(sound)} files are '
              'intact.')


def _open_files(tfrecord_dir):
    """Open the data set's files, from the full resolution down, unreadable ones last.

    Returns a list of (path, opened file or DataError).
    """
    paths = sorted(glob.glob(os.path.join(glob.escape(tfrecord_dir), '*.tfrecords')))
    if not paths:
        dataset.TFRecordDataset(tfrecord_dir)  # raises DataError
    files = []
    for path in paths:
        try:
            files.append((path, records.open_records(path)))
        except DataError as error:
            files.append((path, error))
    return sorted(files, key=lambda entry: isinstance(entry[1], DataError) or -entry[1].shape[1])


def _open_labels(tfrecord_dir):
    """Read the labels, in the dtype of the file; None if there are none or they are unreadable."""
    path = dataset.find_label_file(tfrecord_dir, None)
    try:
        return None if path is None else dataset.read_labels(path)
    except DataError:
        return None


def _size_text(file):
    return f'{file.shape[2]}x{file.shape[1]}' if file else 'unknown'


def _channels_text(file):
    if file is None:
        return 'unknown'
    return {1: '1 (grayscale)', 3: '3 (RGB)'}.get(file.shape[0], file.shape[0])


def _labels_text(labels, classes, there):
    if labels is None:
        return 'unreadable' if there else 'none'
    if labels.ndim != 2 or labels.dtype.kind not in 'fiu':
        return f'{labels.dtype.name} of shape {list(labels.shape)}'
    return (f'{labels.shape[1]} components, {labels.dtype.name}, '
            f'{"not one-hot" if classes is None else "one-hot"}')


def _print_rows(rows, alignment):
    """Print a table from rows of values; `alignment` has '<' or '>' for each column."""
    rows = [[_as_shown(str(value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [f'{value:{side}{width}}' for value, side, width in zip(row, alignment, widths)]
        print('  '.join(cells).rstrip())


def _as_shown(text):
    """Escape what standard output escapes, so that column widths are those shown."""
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def _print_files(files):
    rows = [('Resolution', 'File', 'Records', 'Bytes', '')]
    for path, file in files:
        size = os.path.getsize(path)
        is_broken = isinstance(file, DataError)
        resolution = 'unreadable' if is_broken else _size_text(file)
        num_images = '' if is_broken else file.num_images
        rows.append((resolution, os.path.basename(path), num_images, size,
                     f'{tqdm.format_sizeof(size)}B'))
    print()
    _print_rows(rows, '<<>>>')


def _print_classes(tfrecord_dir, labels, classes):
    """Print a histogram of one-hot labels [n, classes], or a summary of it."""
    counts = labels.sum(axis=0, dtype=np.int64)
    names = read_class_names(tfrecord_dir)
    print()
    if names is not None and len(names) != len(counts):
        print(f'The file of class names is ignored: it has {len(names)} lines for {len(counts)} '
              'classes.')
    if len(counts) <= MAX_CLASSES:
        bars = ['#' * -(-BAR_LENGTH * int(count) // int(counts.max())) for count in counts]
        _print_rows([('Class', 'Images', ''), *zip(classes, counts, bars)], '<><')
        return
    least, most = int(np.argmin(counts)), int(np.argmax(counts))
    _print_rows([
        ('Classes', len(counts)),
        ('without images', int((counts == 0).sum())),
        ('fewest images', f'{counts[least]} (class {classes[least]})'),
        ('on average', f'{counts.mean():.1f}'),
        ('most images', f'{counts[most]} (class {classes[most]})'),
    ], '<<')


def _print_components(labels):
    """Print the range and mean of each component of labels [n, components]."""
    rows = [('Component', 'min', 'mean', 'max')]
    for number, column in enumerate(labels[:, :MAX_COMPONENTS].T):
        values = (column.min(), column.mean(dtype=np.float64), column.max())
        rows.append((number, *(f'{value:.6g}' for value in values)))
    print()
    _print_rows(rows, '>>>>')
    if labels.shape[1] > MAX_COMPONENTS:
        print(f'and {labels.shape[1] - MAX_COMPONENTS} more components')
