"""This program's training step compared with that of the PyTorch package pro-gan-pth 3.4.

    python -m benchmarks.peers -h

The two run alternately, with the same layers (fmap_base 8192 and fmap_max 512 give 512 maps at 4x4
to 32x32 in both) and the same minibatch, in float32. Makes a virtual environment for the package,
which takes a few GB of disk space, and deletes it afterwards unless --venv names a folder. Prints
one JSON line for each resolution.
"""
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import venv

from benchmarks.common import ROOT, Parser, Worker, load, pair_ratios, significant, take_turns
from benchmarks.compare import parse_variant, start, step_options
from pgan.resolutions import log2_of

PACKAGE = 'pro-gan-pth==3.4'


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.peers', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, action='append', choices=(4, 8, 16, 32),
                        help='measure only this; may be repeated')
    parser.add_argument('--minibatch', type=int, default=16)
    parser.add_argument('--turns', type=int, default=3,
                        help='of each, after a warm-up turn (default: 3)')
    parser.add_argument('--seconds', type=float, default=30.0,
                        help='measure for at least this long '
                        '(default: 30)')
    parser.add_argument('--venv', metavar='FOLDER',
                        help='virtual environment to create, or to use '
                        'if it exists')
    return parser.parse_args(argv)


def make_environment(folder):
    """Create a virtual environment with the package and return its Python.

    Raises:
        SystemExit: the installation failed; the message quotes pip.
    """
    python = pathlib.Path(folder, 'Scripts' if os.name == 'nt' else 'bin', 'python')
    installed = pathlib.Path(folder, 'installed.txt')
    if not installed.is_file():
        venv.create(folder, with_pip=True)
        for arguments in (['-r', str(ROOT / 'benchmarks' / 'requirements-peers.txt')],
                          ['--no-deps', PACKAGE]):
            done = subprocess.run([
                python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *arguments
            ], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f'Error: pip install {" ".join(arguments)} failed: '
                         f'{done.stderr.strip()[-800:]}')
        installed.write_text(PACKAGE + '\n')
    return str(python)


def measure(args, python):
    """Yield results, one for each resolution."""
    for resolution in args.resolution or (4, 8, 16, 32):
        options = dict(step_options(), fmap_base=8192, fmap_max=512, minibatch=args.minibatch,
                       lod=float(5 - log2_of(resolution)))
        script = str(ROOT / 'benchmarks' / 'peer_pro_gan_pth.py')
        with Worker([python, script, resolution,
                     args.minibatch]) as peer, start(parse_variant(str(ROOT)), options) as product:
            version = peer.answer()
            product.answer()
            players = {
                name: lambda worker=worker: worker.ask()['sec_per_kimg']
                for name, worker in (('peer', peer), ('product', product))
            }
            turns = take_turns(players, args.turns, args.seconds)
        yield dict(peer=PACKAGE, **version, resolution=resolution, minibatch=args.minibatch,
                   peer_sec_per_kimg=significant(statistics.median(turns['peer'])),
                   sec_per_kimg=significant(statistics.median(turns['product'])),
                   beside_peer=pair_ratios(turns['product'], turns['peer']), load=load())


if __name__ == '__main__':
    arguments = parse_args()
    with contextlib.ExitStack() as stack:
        where = arguments.venv or stack.enter_context(tempfile.TemporaryDirectory())
        for line in measure(arguments, make_environment(where)):
            print(json.dumps(line), flush=True)
