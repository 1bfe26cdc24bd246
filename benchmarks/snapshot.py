"""Seconds to load a snapshot and to generate images with it, and memory.

    python -m benchmarks.snapshot -h

Writes a snapshot with random weights to a temporary folder first. Prints one JSON line for each
precision.
"""
import argparse
import json
import os
import sys
import tempfile
import time

import numpy as np

from benchmarks.common import Parser, as_options, peak_mb, run_child

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.snapshot', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, default=1024)
    parser.add_argument('--fmap_base', type=int, default=8192)
    parser.add_argument('--fmap_max', type=int, default=512)
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), action='append',
                        help='measure only this; may be given twice')
    parser.add_argument('--minibatch', type=int, default=4,
                        help='images at a time for the steady rate '
                        '(default: 4)')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='how long to generate images (default: 20)')
    parser.add_argument('--measure', metavar='PKL', help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def write_snapshot(args, path):
    """Write G, D and Gs of the requested size, as train.py saves them."""
    import misc
    import tfutil
    options = dict(num_channels=3, resolution=args.resolution, fmap_base=args.fmap_base,
                   fmap_max=args.fmap_max)
    G = tfutil.Network('G', 'networks.G_paper', **options)
    misc.save_pkl((G, tfutil.Network('D', 'networks.D_paper', **options), G.clone('Gs')), path)


def measure(args):
    """Load the snapshot, generate images with Gs and return the result.

    Runs in a separate process, because peak memory is measured per process.
    """
    start = time.perf_counter()
    import misc
    misc.import_tensorflow()
    import tfutil  # noqa: F401
    imported = time.perf_counter()
    _, _, Gs = misc.load_pkl(args.measure)
    loaded = time.perf_counter()
    dtype = args.dtype[0]
    if dtype != 'float32':
        Gs = Gs.convert(dtype=dtype)
    latents = np.random.RandomState(0).randn(args.minibatch, *Gs.input_shape[1:])
    drawing = time.perf_counter()
    Gs.run(latents[:1])
    first = time.perf_counter()
    Gs.run(latents)
    count, start_steady = 0, time.perf_counter()
    while time.perf_counter() - start_steady < args.seconds:
        Gs.run(latents)
        count += args.minibatch
    steady = time.perf_counter() - start_steady
    return dict(resolution=args.resolution, fmap_base=args.fmap_base, fmap_max=args.fmap_max,
                dtype=dtype, minibatch=args.minibatch, file_mb=os.path.getsize(args.measure) >> 20,
                import_sec=round(imported - start, 2), load_sec=round(loaded - imported, 2),
                first_image_sec=round(first - drawing,
                                      2), images_per_sec=round(count / steady,
                                                               3), peak_mb=peak_mb())


if __name__ == '__main__':
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(args)))
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'network.pkl')
        write_snapshot(args, path)
        for dtype in args.dtype or ('float32', 'bfloat16'):
            options = {
                name: getattr(args, name)
                for name in ('resolution', 'fmap_base', 'fmap_max', 'minibatch', 'seconds')
            }
            result = run_child(
                ['benchmarks.snapshot', *as_options(dict(options, dtype=dtype, measure=path))])[-1]
            print(json.dumps(result), flush=True)
