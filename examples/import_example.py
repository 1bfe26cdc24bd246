"""Ten images of a pre-trained network.

    .venv/bin/python examples/import_example.py karras2018iclr-celebahq-1024x1024.pkl

Writes img0.png to img9.png: the same images as the original's example of the same name.
The official networks are at https://drive.google.com/open?id=15hvzxt_XxuokSmj0uO4xxMTMWVc0cIMU;
snapshots of your own runs, and of the Theano version, work as well.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import pgan  # noqa: E402, F401 -- first: it reports an old Python and missing packages

# isort: split
import numpy as np  # noqa: E402

import misc  # noqa: E402
from pgan.errors import DataError, exit_on_user_error  # noqa: E402
from pgan.files import expanded  # noqa: E402
from pgan.invocation import command  # noqa: E402

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 stops at this line, and shows it
OFFICIAL = 'karras2018iclr-celebahq-1024x1024.pkl'
WHERE = 'Official networks: https://drive.google.com/open?id=15hvzxt_XxuokSmj0uO4xxMTMWVc0cIMU'
SEED = 1000
# indices of good ones among a thousand latents, for CelebA-HQ
CHOSEN = [477, 56, 83, 887, 583, 391, 86, 340, 341, 415]


def generate(Gs):
    """Generate ten images: uint8 [10, C, R, R].

    A conditional generator gets labels of zeros, which mean no class.
    """
    latents = np.random.RandomState(SEED).randn(1000, *Gs.input_shapes[0][1:])[CHOSEN]
    labels = [np.zeros([len(latents), *shape[1:]]) for shape in Gs.input_shapes[1:]]
    # one at a time: large images need much memory
    images = Gs.run(latents, *labels, minibatch_size=1, print_progress=sys.stderr.isatty())
    return np.clip(np.rint((images + 1) / 2 * 255), 0, 255).astype(np.uint8)


def load_generator(path):
    """Load Gs from a snapshot (G, D, Gs), or from a file that holds only Gs."""
    if not os.path.exists(path):
        raise DataError(f'there is no {path!r}. Expected a network snapshot. {WHERE}; or use one '
                        'of your own: ' + command('examples/import_example.py',
                                               'results/000-pgan/network-final.pkl'))
    try:
        return misc.generator_of(misc.load_pkl(path), path)
    except DataError as error:
        raise DataError(f'{error} {WHERE}') from error


def main(argv=None):
    parser = argparse.ArgumentParser(description='Write ten images of a pre-trained network as '
                                                 'img0.png to img9.png.', epilog=WHERE)
    parser.add_argument('pkl', nargs='?', default=OFFICIAL, type=expanded,
                        help=f'network snapshot (default: {OFFICIAL})')
    parser.add_argument('--out', default='.', metavar='DIR', type=expanded,
                        help='folder for the images (default: the '
                        'current one)')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        misc.import_tensorflow()
        Gs = load_generator(args.pkl)
        os.makedirs(args.out, exist_ok=True)
        for number, image in enumerate(generate(Gs)):
            misc.save_image(image, os.path.join(args.out, f'img{number}.png'), drange=[0, 255])
        print(f'Wrote img0.png to img{len(CHOSEN) - 1}.png of '
              f'{Gs.output_shape[2]}x{Gs.output_shape[3]} to "{args.out}"')


if __name__ == '__main__':
    main()
