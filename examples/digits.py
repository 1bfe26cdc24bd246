"""Pictures of a run on handwritten digits, and a measure of how readable they are.

    .venv/bin/python examples/digits.py results/000-quickstart-digits

Writes into the run's folder: digits.png (a row per class), interpolation.gif (a walk through the
latent space) and digits.txt (the fraction of generated digits that a nearest-neighbour classifier,
fitted on the real ones, assigns to the requested class).
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import pgan  # noqa: E402, F401 -- first: it reports an old Python and missing packages

# isort: split
import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
from PIL import Image  # noqa: E402

import misc  # noqa: E402
from pgan.errors import DataError, exit_on_user_error  # noqa: E402
from pgan.files import expanded  # noqa: E402
from pgan.invocation import as_typed  # noqa: E402
from pgan.pixels import repeat_pixels  # noqa: E402
from pgan.progress_bar import progress_bar  # noqa: E402

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 stops at this line, and shows it
CLASSES = 10


def nearest_labels(images, real_images, real_labels):
    """Return the class of the nearest real image to each image (Euclidean distance of pixels).

    Args:
        images, real_images: [n, ...] and [m, ...], with the same image shape and value range.
        real_labels: [m] integers.

    Returns:
        [n] integers.
    """
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (images, real_images))
    distances = (b ** 2).sum(axis=1)[None] - 2 * a @ b.T  # + |a|^2, the same for all candidates
    return real_labels[distances.argmin(axis=1)]


def run_uint8(Gs, latents, classes):
    """Generate uint8 images [n, C, R, R] of latents and class numbers."""
    return Gs.run(latents.astype(np.float32),
                  np.eye(CLASSES, dtype=np.float32)[classes], minibatch_size=100, out_mul=127.5,
                  out_add=127.5, out_dtype=np.uint8)


def generate_by_class(Gs, count, random_seed=1000):
    """Generate `count` images that cycle through the classes.

    Returns:
        uint8 images [count, C, R, R], and their classes.
    """
    asked = np.arange(count) % CLASSES
    return run_uint8(Gs,
                     np.random.RandomState(random_seed).randn(count, *Gs.input_shape[1:]),
                     asked), asked


def save_rows(Gs, path, columns=16, zoom=2):
    """Save an image grid with a row per class and a latent vector per column."""
    latents = np.random.RandomState(1).randn(columns, *Gs.input_shape[1:])
    images = run_uint8(Gs, np.tile(latents, [CLASSES, 1]), np.repeat(np.arange(CLASSES), columns))
    misc.save_image_grid(repeat_pixels(images, zoom), path, drange=[0, 255],
                         grid_size=(columns, CLASSES))


def save_interpolation(Gs, path, columns=10, rows=5, seconds=6, fps=20, zoom=2):
    """Save a looping GIF of Gaussian-smoothed random latents, with one class per column."""
    shape = [seconds * fps, columns * rows, *Gs.input_shape[1:]]
    latents = scipy.ndimage.gaussian_filter(
        np.random.RandomState(2).randn(*shape), [fps] + [0] * (len(shape) - 1), mode='wrap')
    latents /= np.sqrt(np.mean(np.square(latents)))
    frames = []
    for step in progress_bar(latents, desc='interpolation', unit='frame'):
        grid = misc.create_image_grid(
            run_uint8(Gs, step,
                      np.arange(columns * rows) % columns % CLASSES), (columns, rows))
        frame = misc.convert_to_pil_image(grid,
                                          drange=[0, 255
                                                  ]).resize([zoom * s for s in grid.shape[:0:-1]],
                                                            Image.NEAREST)
        # sixteen gray levels are enough for digits, and take a third of the bytes
        frames.append(frame.quantize(16))
    with misc.atomic_write(path) as file:
        frames[0].save(file, format='GIF', save_all=True, append_images=frames[1:],
                       duration=1000 // fps, loop=0)


def read_back(Gs, training_set, count=1000):
    """Return a table of the digits classified as the requested class, by class and in all."""
    reals, labels = training_set.get_minibatch_np(training_set.num_images)
    images, asked = generate_by_class(Gs, count)
    right = nearest_labels(images, reals, labels.argmax(axis=1)) == asked
    lines = [
        f'class {digit}: {right[asked == digit].mean():4.0%} are recognized as {digit}'
        for digit in range(CLASSES)
    ]
    return '\n'.join([*lines, f'all: {right.mean():.1%} of {count} generated digits are recognized '
                              'as the requested class']) + '\n'


def main(argv=None):
    parser = argparse.ArgumentParser(description=as_typed(__doc__),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('run', help='folder, number or name of the run, which must have ten '
                                    'classes')
    parser.add_argument('--result_dir', default='results', type=expanded,
                        help='folder of the runs')
    parser.add_argument('--data_dir', default='datasets', type=expanded,
                        help="folder of the run's data set")
    args = parser.parse_args(argv)
    with exit_on_user_error():
        misc.import_tensorflow()
        folder = misc.locate_result_subdir(
            int(args.run) if args.run.isdigit() else args.run, result_dir=args.result_dir)
        training_set, _ = misc.load_dataset_for_previous_run(folder, result_dir=args.result_dir,
                                                             data_dir=args.data_dir, shuffle_mb=0)
        if training_set.label_size != CLASSES:
            raise DataError(f'{folder!r} was trained with labels of {training_set.label_size} '
                            f'components, not {CLASSES} classes: choose a run of '
                            'configs/quickstart.py, or one with dataset.max_label_size = \'full\' '
                            'on ten classes.')
        _, _, Gs = misc.load_network_pkl(folder)
        save_rows(Gs, os.path.join(folder, 'digits.png'))
        table = read_back(Gs, training_set)
        with misc.atomic_write(os.path.join(folder, 'digits.txt'), 'w') as file:
            file.write(table)
        save_interpolation(Gs, os.path.join(folder, 'interpolation.gif'))
    print(table, end='')


if __name__ == '__main__':
    main()
