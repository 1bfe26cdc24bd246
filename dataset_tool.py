"""Create, look at and compare data sets: python dataset_tool.py COMMAND -h"""
import argparse
import contextlib
import dataclasses
import os
import sys
import warnings
from collections.abc import Callable

from pgan import errors
from pgan.console import output_that_may_end
from pgan.data.writer import TFRecordExporter, check_target, clear_leftovers
from pgan.errors import DataError
from pgan.inspection.comparison import compare
from pgan.inspection.dataset_summary import info
from pgan.inspection.extraction import extract
from pgan.inspection.window import display
from pgan.signals import Stopped, signals_as_exceptions

# --------------------------------------------------------------------------------------------------
# Creating.


def write_dataset(tfrecord_dir, load, shuffle=True, force=False):
    """Write the images and labels of a source as a data set.

    Args:
        tfrecord_dir: folder to create.
        load: function without arguments that returns an importers.Source.
        shuffle: write in shuffled order, always the same one, if the source can be read in any
            order.
        force: replace a data set that is there already.

    Raises:
        DataError: the target exists, the source is not as it should be, or the disk is full; then
    nothing is written. """
    if tfrecord_dir:
        clear_leftovers(tfrecord_dir)
    check_target(tfrecord_dir, force)  # before a long load
    source = load()
    with TFRecordExporter(tfrecord_dir, source.num_images, exact=not source.may_skip,
                          force=force) as exporter:
        order = exporter.choose_shuffled_order() if shuffle and not source.sequential else range(
            source.num_images)
        added = []
        with contextlib.closing(source.fetch(order)) as images:
            for index, image in images:
                exporter.add_image(image)
                added.append(index)
        if source.labels is not None:
            exporter.add_labels(source.labels[added])
        if source.class_names:
            exporter.add_class_names(source.class_names)
    if source.class_names:
        for number, (name, count) in enumerate(
                zip(source.class_names, source.labels[added].sum(axis=0, dtype=int))):
            print(f'Class {number}: {name}, {count} images')


def create_mnist(tfrecord_dir, mnist_dir, force=False):
    """Create dataset for MNIST."""
    from pgan.importers.mnist import load_mnist
    write_dataset(tfrecord_dir, lambda: load_mnist(mnist_dir), force=force)


def create_mnistrgb(tfrecord_dir, mnist_dir, num_images=1000000, random_seed=123, force=False):
    """Create dataset for MNIST-RGB."""
    from pgan.importers.mnist import load_mnistrgb
    write_dataset(tfrecord_dir, lambda: load_mnistrgb(mnist_dir, num_images, random_seed),
                  force=force)


def create_cifar10(tfrecord_dir, cifar10_dir, force=False):
    """Create dataset for CIFAR-10."""
    from pgan.importers.cifar import load_cifar10
    write_dataset(tfrecord_dir, lambda: load_cifar10(cifar10_dir), force=force)


def create_cifar100(tfrecord_dir, cifar100_dir, force=False):
    """Create dataset for CIFAR-100."""
    from pgan.importers.cifar import load_cifar100
    write_dataset(tfrecord_dir, lambda: load_cifar100(cifar100_dir), force=force)


def create_svhn(tfrecord_dir, svhn_dir, force=False):
    """Create dataset for SVHN."""
    from pgan.importers.svhn import load_svhn
    write_dataset(tfrecord_dir, lambda: load_svhn(svhn_dir), force=force)


def create_lsun(tfrecord_dir, lmdb_dir, resolution=256, max_images=None, force=False):
    """Create dataset for single LSUN category."""
    from pgan.importers.lsun import load_lsun
    write_dataset(tfrecord_dir, lambda: load_lsun(lmdb_dir, resolution, max_images), force=force)


def create_celeba(tfrecord_dir, celeba_dir, cx=89, cy=121, force=False):
    """Create dataset for CelebA."""
    from pgan.importers.celeba import load_celeba
    write_dataset(tfrecord_dir, lambda: load_celeba(celeba_dir, cx, cy), force=force)


def create_celebahq(tfrecord_dir, celeba_dir, delta_dir, num_threads=4, num_tasks=100,
                    resolution=1024, only=None, force=False):
    """Create dataset for CelebA-HQ."""
    from pgan.importers.celebahq.importer import CelebAHQ, check_images
    if only is not None:
        check_images(tfrecord_dir, celeba_dir, delta_dir, only, resolution=resolution,
                     num_workers=num_threads)
        return
    with CelebAHQ(tfrecord_dir, celeba_dir, delta_dir, resolution=resolution,
                  num_workers=num_threads, num_ahead=num_tasks) as images:
        write_dataset(tfrecord_dir, images.load, force=force)
        images.clear()


def create_from_images(tfrecord_dir, image_dir, shuffle=1, resolution=None, labels=None,
                       skip_bad=False, force=False):
    """Create dataset from a directory full of images."""
    from pgan.importers.image_folder import load_images
    if os.path.realpath(tfrecord_dir).startswith(os.path.join(os.path.realpath(image_dir), '')):
        raise DataError(f'the data set {tfrecord_dir!r} would lie inside of the image folder '
                        f'{image_dir!r}, and be taken for images the next time. Choose a place '
                        'outside of it.')
    write_dataset(tfrecord_dir,
                  lambda: load_images(image_dir, resolution, labels, skip_bad=skip_bad), shuffle,
                  force)


def create_from_hdf5(tfrecord_dir, hdf5_filename, shuffle=1, force=False):
    """Create dataset from legacy HDF5 archive."""
    from pgan.importers.hdf5 import load_hdf5
    write_dataset(tfrecord_dir, lambda: load_hdf5(hdf5_filename), shuffle, force)


def create_digits(tfrecord_dir, force=False):
    """Create dataset for the 5000 digits of MNIST that come inside a Python package."""
    from pgan.importers.digits import load_digits
    write_dataset(tfrecord_dir, load_digits, force=force)


# --------------------------------------------------------------------------------------------------
# The command line.

_DIR = ('tfrecord_dir', {'help': 'folder of the data set to create'})
_SHOWN = ('tfrecord_dir', {'help': 'folder of the data set'})
_MNIST = ('mnist_dir', {'help': 'folder of train-images-idx3-ubyte.gz and '
                                'train-labels-idx1-ubyte.gz'})
_FORCE = ('--force', {'action': 'store_true', 'help': 'replace the data set that is there already'})
_SHUFFLE = ('--shuffle', {
    'type': int, 'choices': (0, 1), 'default': 1, 'help': 'write the images in shuffled order '
    '(default: 1)'
})


@dataclasses.dataclass
class Command:
    """One command: its arguments (name and keywords of argparse's add_argument) have the names of
    the function's parameters.
    """
    function: Callable
    help: str
    example: str
    arguments: tuple


COMMANDS = (
    Command(display, 'Display images in dataset.', 'datasets/mnist', (_SHOWN, ('--sheet', {
        'metavar': 'FILE', 'help': 'write the first images into one .png or .jpg '
        'file instead of opening a window'
    }), ('--force', {'action': 'store_true', 'help': 'overwrite that file'}))),
    Command(extract, 'Extract images from dataset.', 'datasets/mnist /tmp/mnist-images',
            (_SHOWN,
             ('output_dir',
              {'help': 'folder for the images, img00000000.png and so on; made if need be'}),
             ('--force',
              {'action': 'store_true', 'help': 'overwrite images extracted there before'}))),
    Command(compare, 'Compare two datasets.', 'datasets/mnist other/mnist',
            (('tfrecord_dir_a', {'help': 'folder of the first data set'}),
             ('tfrecord_dir_b', {'help': 'folder of the second data set'}), ('--ignore_labels', {
                 'type': int, 'choices': (0, 1), 'default': 0,
                 'help': 'do not compare labels (default: 0)'
             }))),
    Command(create_mnist, 'Create dataset for MNIST.', 'datasets/mnist ~/downloads/mnist',
            (_DIR, _MNIST, _FORCE)),
    Command(create_mnistrgb, 'Create dataset for MNIST-RGB.', 'datasets/mnistrgb ~/downloads/mnist',
            (_DIR, _MNIST, ('--num_images', {
                'type': int, 'default': 1000000, 'metavar': 'N',
                'help': 'number of images to make (default: 1000000)'
            }), ('--random_seed', {
                'type': int, 'default': 123, 'metavar': 'SEED',
                'help': 'of picking the digits (default: 123)'
            }), _FORCE)),
    Command(create_cifar10, 'Create dataset for CIFAR-10.', 'datasets/cifar10 '
            '~/downloads/cifar-10-batches-py', (_DIR, ('cifar10_dir', {
                'help': 'folder of data_batch_1 to data_batch_5 (the "python '
                'version" of CIFAR-10)'
            }), _FORCE)),
    Command(create_cifar100, 'Create dataset for CIFAR-100.', 'datasets/cifar100 '
            '~/downloads/cifar-100-python',
            (_DIR,
             ('cifar100_dir',
              {'help': 'folder of the file train (the "python version" of '
               'CIFAR-100)'}), _FORCE)),
    Command(create_svhn, 'Create dataset for SVHN.', 'datasets/svhn ~/downloads/svhn',
            (_DIR, ('svhn_dir', {
                'help': 'folder of train_1.pkl to train_3.pkl, or of train_32x32.mat '
                'as it is published'
            }), _FORCE)),
    Command(create_lsun, 'Create dataset for single LSUN category.', 'datasets/lsun-car '
            '~/downloads/lsun/car_lmdb --max_images '
            '100000',
            (_DIR, ('lmdb_dir', {'help': 'folder of the LMDB of one category (data.mdb)'}),
             ('--resolution', {
                 'type': int, 'default': 256, 'metavar': 'R',
                 'help': 'of the images to write (default: 256)'
             }),
             ('--max_images',
              {'type': int, 'metavar': 'N', 'help': 'take the first N images (default: all)'
               }), _FORCE)),
    Command(create_celeba, 'Create dataset for CelebA.', 'datasets/celeba ~/downloads/celeba',
            (_DIR, ('celeba_dir', {'help': 'folder of CelebA, which holds img_align_celeba_png'}),
             ('--cx', {
                 'type': int, 'default': 89, 'help': 'middle of the 128x128 pixels to cut out, '
                 'from the left (default: 89)'
             }), ('--cy', {'type': int, 'default': 121, 'help': 'and from the top (default: 121)'
                           }), _FORCE)),
    Command(
        create_celebahq, 'Create dataset for CelebA-HQ.', 'datasets/celebahq ~/downloads/celeba '
        '~/downloads/celeba-hq-deltas',
        (_DIR,
         ('celeba_dir',
          {'help': 'folder of CelebA, which holds img_celeba (in the wild) and '
           'Anno'}),
         ('delta_dir', {'help': 'folder of deltas00000.zip to deltas29000.zip and image_list.txt'}),
         ('--num_threads', {
             'type': int, 'default': 4, 'metavar': 'N',
             'help': 'number of worker processes (default: 4)'
         }), ('--num_tasks', {
             'type': int, 'default': 100, 'metavar': 'N',
             'help': 'images handed out to them at a time '
             '(default: 100)'
         }), ('--resolution', {
             'type': int, 'default': 1024, 'metavar': 'R',
             'help': 'of the data set: 1024, 512 or 256 '
             '(default: 1024)'
         }), ('--only', {
             'type': int, 'nargs': '+', 'metavar': 'IDX',
             'help': 'make no data set: rebuild and check these '
             'images, 0 to 29999, and write them to '
             '<tfrecord_dir>-only as PNG files'
         }), _FORCE)),
    Command(create_from_images, 'Create dataset from a directory full of images.',
            'datasets/mydataset ~/pictures '
            '--resolution 256', (_DIR, ('image_dir', {
                'help': 'folder, or tree of folders, of square RGB or grayscale '
                'images of one size, a power of two'
            }), _SHUFFLE, ('--resolution', {
                'type': int, 'metavar': 'R', 'help': 'take images of any size, shape and kind: '
                'crop the middle square and resize it to '
                'RxR'
            }), ('--labels', {
                'choices': ('folders', ), 'help': 'make one-hot labels of the names of the '
                'sub-folders'
            }), ('--skip_bad', {
                'action': 'store_true', 'help': 'report files that cannot be used, and go '
                'on without them'
            }), _FORCE)),
    Command(create_from_hdf5, 'Create dataset from legacy HDF5 archive.', 'datasets/celebahq '
            '~/downloads/celeba-hq-1024x1024.h5', (_DIR, ('hdf5_filename', {
                'help': 'archive with arrays data4x4, data8x8, ... [n, C, R, R]; '
                'labels from NAME-labels.npy beside it'
            }), _SHUFFLE, _FORCE)),
    Command(create_digits, 'Create dataset of 5000 digits that come inside a Python package.',
            'datasets/digits', (_DIR, _FORCE)),
    Command(info, 'Print what is in a dataset, and check it.', 'datasets/mnist --verify',
            (_SHOWN, ('--verify', {
                'action': 'store_true', 'help': 'read everything, and check the checksum '
                'of every record'
            }))),
)


def make_parser():
    """The argument parser of all commands."""
    parser = argparse.ArgumentParser(prog='dataset_tool.py')
    commands = parser.add_subparsers(metavar='<command>', dest='command')
    for command in COMMANDS:
        name = command.function.__name__
        sub = commands.add_parser(
            name, description=command.help, epilog=f'example: python dataset_tool.py {name} '
            f'{command.example}')
        sub.set_defaults(function=command.function)
        for argument, options in command.arguments:
            sub.add_argument(argument, **options)
    # The list of commands as the original prints it; argparse's own has other columns.
    names = [f'    {command.function.__name__:20}{command.help}' for command in COMMANDS]
    overview = [parser.format_usage(), *names, '', 'Type "dataset_tool.py <command> -h" for more '
                                                   'information.', '']
    parser.format_help = lambda: '\n'.join(overview)
    return parser


def main(argv=None):
    """Run one command; exits with 1 for what the user can mend, 2 for wrong arguments, 130 when
    interrupted, 143 when terminated.
    """
    parser = make_parser()
    kwargs = vars(parser.parse_args(argv))
    command, function = kwargs.pop('command'), kwargs.pop('function', None)
    if function is None:
        parser.print_help()
        return
    creates = command.startswith('create_')
    kwargs = {
        name: os.path.expanduser(value) if isinstance(value, str) else value
        for name, value in kwargs.items()
    }
    warnings.filterwarnings('ignore', module=r'PIL\.')  # they name no file
    outcome = ': no data set was written.' if creates else '.'
    try:
        with output_that_may_end(
                needed=not creates), signals_as_exceptions(), errors.exit_on_user_error():
            function(**kwargs)
    except KeyboardInterrupt:
        print(f'\ninterrupted{outcome}', file=sys.stderr)
        sys.exit(130)
    except Stopped as stopped:
        print(f'\nstopped by {stopped.signal_name}{outcome}', file=sys.stderr)
        raise


if __name__ == '__main__':
    main()
