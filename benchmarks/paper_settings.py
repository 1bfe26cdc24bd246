"""Check that the paper's experiments train, for a few hundred updates with narrow networks.

    python -m benchmarks.paper_settings -h

Runs each setting of configs/ and prints one JSON line: parameters of the networks at full width,
seconds, whether every variable is finite, and whether the snapshot survives a round-trip. The data
are coloured blobs, of the shape of the data set.
"""
import json
import os
import re
import subprocess
import sys
import time

import numpy as np

from benchmarks.common import Parser

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROWS = ('a', 'b', 'c', 'd', 'e*', 'e', 'f', 'g')  # h equals g
VARIANTS = ('plain', 'ournorm', 'mbstddev', 'progression')
SETTINGS = {
    **{f'ablation {row}': ('ablation', 128, {'row': row})
       for row in ROWS},
    **{f'mnist_modes {variant}': ('mnist_modes', 32, {'variant': variant})
       for variant in VARIANTS}, 'cifar10_paper': ('cifar10_paper', 32, {})
}
SHORT = '''
desc = {desc!r}
data_dir, result_dir = {data_dir!r}, {result_dir!r}
dataset = EasyDict(tfrecord_dir='blobs{resolution}')
sched.update(minibatch_base={minibatch}, tick_kimg_base={kimg}, tick_kimg_dict={{}})
if sched.lod_training_kimg:
    sched.update(lod_training_kimg={kimg} / 6, lod_transition_kimg={kimg} / 6)
    sched.update(lod_initial_resolution={resolution} // 4)
train.update(total_kimg={kimg}, image_snapshot_ticks=1000, network_snapshot_ticks=1000)
if 'paper' in G.func:
    G.update(fmap_base=512, fmap_max={fmap_max})
    D.update(fmap_base=512, fmap_max={fmap_max})
'''


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.paper_settings', description=__doc__.split('\n')[0])
    parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=list(SETTINGS),
                        metavar='NAME', help=f'of: {", ".join(SETTINGS)} (default: all)')
    parser.add_argument('--updates', type=int, default=300, help='D updates of each (default: 300)')
    parser.add_argument('--minibatch', type=int, default=8, help="in place of the paper's 16 or 64 "
                                                                 '(default: 8)')
    parser.add_argument('--fmap_max', type=int, default=8,
                        help="widest layer, in place of the paper's "
                        '(default: 8)')
    parser.add_argument('--result_dir', default='results')
    parser.add_argument('--data_dir', default='datasets')
    return parser.parse_args(argv)


def make_blobs(data_dir, resolution, count=64):
    """Make a data set of colour images with blobs of several sizes."""
    from pgan.data.writer import TFRecordExporter
    from pgan.pixels import repeat_pixels
    folder, random = os.path.join(data_dir, f'blobs{resolution}'), np.random.RandomState(0)
    if os.path.isdir(folder):
        return
    with TFRecordExporter(folder, count, print_progress=False) as exporter:
        for _ in range(count):
            image = np.zeros([3, resolution, resolution])
            for size in (4, 8, 32):
                image += repeat_pixels(random.uniform(0, 85, [3, size, size]), resolution // size)
            exporter.add_image(image.astype(np.uint8))


def choose(name, choices):
    """Source of a file of configs/ with the settings at its top replaced."""
    with open(os.path.join(ROOT, 'configs', f'{name}.py'), encoding='utf-8') as file:
        text = file.read()
    for key, value in choices.items():
        text = re.sub(rf'^_{key} = \S+', f'_{key} = {value!r}', text, flags=re.M)
    return text


def full_parameters(path, resolution):
    """Trainable parameters of G and D in the configuration file."""
    import tfutil
    from pgan import settings
    config = settings.load([path])
    nets = [
        tfutil.Network(name, num_channels=3, resolution=resolution, **getattr(config, name))
        for name in 'GD'
    ]
    return [sum(int(np.prod(var.shape)) for var in net.trainables.values()) for net in nets]


def run(name, args):
    """Train one setting and return its result line."""
    import misc
    source, resolution, choices = SETTINGS[name]
    make_blobs(args.data_dir, resolution)
    os.makedirs(args.result_dir, exist_ok=True)
    desc = re.sub(r'\W+', '-', name.replace('*', '-star'))
    path = os.path.join(args.result_dir, f'{desc}.py')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(choose(source, choices))
    parameters = full_parameters(path, resolution)
    with open(path, 'a', encoding='utf-8') as file:
        file.write(
            SHORT.format(desc=desc, data_dir=args.data_dir, result_dir=args.result_dir,
                         resolution=resolution, minibatch=args.minibatch,
                         kimg=args.updates * args.minibatch / 1000, fmap_max=args.fmap_max))
    start = time.time()
    with open(os.path.join(args.result_dir, f'{desc}.log'), 'w') as log:
        subprocess.run(
            [sys.executable, os.path.join(ROOT, 'train.py'), '--config', path], stdout=log,
            stderr=log, check=True)
    seconds = round(time.time() - start)
    folder = [entry for entry in sorted(os.listdir(args.result_dir))
              if entry.endswith(f'-{desc}')][-1]
    nets = misc.load_network_pkl(os.path.join(args.result_dir, folder))
    again_path = os.path.join(args.result_dir, 'again.pkl')
    misc.save_pkl(nets, again_path)
    same = all(np.array_equal(net.get_var(local_name), other.get_var(local_name))
               for net, other in zip(nets, misc.load_pkl(again_path)) for local_name in net.vars)
    finite = all(
        np.isfinite(net.get_var(local_name)).all() for net in nets for local_name in net.vars)
    images = nets[2].run(np.random.RandomState(0).randn(16, *nets[2].input_shape[1:]))
    return dict(setting=name, G_parameters=parameters[0], D_parameters=parameters[1],
                updates=args.updates, seconds=seconds, finite=bool(finite
                                                                   and np.isfinite(images).all()),
                round_trip=bool(same), image_mean=round(float(images.mean()),
                                                        3), image_std=round(float(images.std()), 3))


if __name__ == '__main__':
    arguments = parse_args()
    for setting in arguments.settings:
        print(json.dumps(run(setting, arguments)), flush=True)
