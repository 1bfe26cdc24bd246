"""Training on 100 digits, with and without augmentation.

    python -m benchmarks.few_images -h

Trains on a few of the 5000 digits and holds out all others. The distance of each snapshot from the
held-out digits measures its quality; D's scores of training digits, held-out digits and fakes
measure overfitting. Prints a JSON line per run and a table, and draws curves. Runs that are already
in few_images.jsonl are not repeated.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np

from benchmarks.common import Parser, add_row, generate, read_rows
from metrics.frechet_inception_distance import Statistics, frechet_distance

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOTAL = 5000  # digits
METHODS = {'none': {}, 'diffaugment': dict(augment='diffaugment'), 'ada': dict(augment='ada')}
DISTANCES = {'swd': 'sliced Wasserstein distance (x1000)',
             'frechet': 'Frechet distance of features'}


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.few_images', description=__doc__.split('\n')[0])
    parser.add_argument('--methods', nargs='+', default=list(METHODS), choices=METHODS)
    parser.add_argument('--images', type=int, default=100,
                        help='to train on; the others of 5000 are held out (default: 100)')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each method (default: 3)')
    parser.add_argument('--first_seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--kimg', type=float, default=48, help='length of a run (default: 48)')
    parser.add_argument('--D_fmaps', type=int, default=128,
                        help="feature maps of D's 4x4; half as many at 8x8, a quarter at 16x16 "
                             '(default: 128)')
    parser.add_argument('--G_fmaps', type=int, default=32,
                        help='maximum feature maps of G (default: 32)')
    parser.add_argument('--lrate', type=float, default=0.004,
                        help="in place of the paper's 0.001 (default: 0.004)")
    parser.add_argument('--wgan_lambda', type=float, default=10,
                        help='weight of the gradient penalty of wgangp (default: 10, as in the '
                             'paper)')
    parser.add_argument('--D_repeats', type=int, default=1, help='updates of D per update of G')
    parser.add_argument('--G_smoothing', type=float, default=0.992,
                        help='in place of 0.999 (default: 0.992)')
    parser.add_argument('--loss', default='lsgan', choices=['lsgan', 'wgangp'],
                        help='(default: lsgan; D overfits sooner without a gradient penalty)')
    parser.add_argument('--target', type=float, default=0.3,
                        help='train.augment_target (default: 0.3)')
    parser.add_argument('--speed', type=float, default=16,
                        help='train.augment_kimg (default: 16)')
    parser.add_argument('--ticks', type=int, default=2,
                        help='ticks of 4 kimg between snapshots (default: 2)')
    parser.add_argument('--measured', type=int, default=2000,
                        help='images per distance (default: 2000)')
    parser.add_argument('--processes', type=int, default=2,
                        help='runs at the same time, each on one thread (default: 2)')
    parser.add_argument('--result_dir', default='results',
                        help='for the runs and few_images.jsonl, .png, -images.png')
    parser.add_argument('--data_dir', default='datasets',
                        help='folder of `digits`, which is made if missing')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from metrics.mnist_modes import find_classifier
    os.makedirs(args.result_dir, exist_ok=True)
    make_digits(args.data_dir)
    held_out, trained = (digits_of(args.data_dir, 'digits', TOTAL - args.images, part,
                                   args.measured) for part in ('validation', 'training'))
    results = read_rows(results_path(args))
    measure = Measure(held_out, find_classifier(args.data_dir, args.result_dir), args.measured)
    of_trained = measure.images(trained)
    print(json.dumps({'the digits that are trained on': of_trained}), flush=True)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    runs = [(method, seed) for seed in seeds for method in args.methods]
    done = {(row['method'], row['seed']) for row in results}

    def make(run):
        folder, seconds = train(args, *run)
        return add_result(args, dict(method=run[0], seed=run[1], seconds=round(seconds),
                                     run=os.path.basename(folder), **measure.run(folder),
                                     options=_options(args), of_trained=of_trained))
    with concurrent.futures.ThreadPoolExecutor(args.processes) as pool:
        results += pool.map(make, [run for run in runs if run not in done])
    print(table(results))
    draw(results, os.path.join(args.result_dir, 'few_images.png'))
    draw_images(results, args)


def _options(args):
    """The options that a run depends on."""
    elsewhere = 'methods', 'seeds', 'first_seed', 'processes', 'result_dir', 'data_dir'
    return {name: value for name, value in vars(args).items() if name not in elsewhere}


# --------------------------------------------------------------------------------------------------
# Runs and their distances.

def make_digits(data_dir):
    """Make the data set `digits`, unless it exists."""
    path = os.path.join(data_dir, 'digits')
    if not os.path.isdir(path):
        subprocess.run([sys.executable, os.path.join(ROOT, 'dataset_tool.py'), 'create_digits',
                        path], check=True)


def digits_of(data_dir, name, validation, part, count):
    """Digits of the training or held-out part, uint8 [count, 1, 16, 16], repeated if there are
    fewer.
    """
    import dataset
    digits = dataset.load_dataset(tfrecord_dir=os.path.join(data_dir, name), resolution=16,
                                  validation=validation, part=part)
    return digits.get_minibatch_np(count)[0]


def train(args, method, seed):
    """Run train.py once. Returns its result folder and seconds."""
    return run_config(args, f'few-{args.images}-{method}', seed, f'''
dataset = EasyDict(tfrecord_dir='digits', resolution=16, validation={TOTAL - args.images})
G.update(fmap_base={4 * args.G_fmaps}, fmap_max={args.G_fmaps})
D.update(fmap_base={2 * args.D_fmaps}, fmap_max={args.D_fmaps})
{_losses(args)}
sched.update(tick_kimg_base=4, G_lrate_base={args.lrate}, D_lrate_base={args.lrate})
train.update(total_kimg={args.kimg}, network_snapshot_ticks={args.ticks})
train.update(G_smoothing={args.G_smoothing}, D_repeats={args.D_repeats})
train.update(augment_target={args.target}, augment_kimg={args.speed})
train.update({METHODS[method]!r})
''')


def run_config(args, name, seed, lines):
    """Run train.py at 16x16 with these configuration lines. Returns its folder and seconds."""
    name = f'{name}-seed{seed}'
    path = os.path.join(args.result_dir, f'{name}.py')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'''
desc = {name!r}
random_seed = {1000 + seed}
data_dir, result_dir = {args.data_dir!r}, {args.result_dir!r}
sched = EasyDict(lod_initial_resolution=16, minibatch_base=16, tick_kimg_dict={{}})
train.update(mirror_augment=False, image_snapshot_ticks=1000, dry_step=False)
{lines}
tf_config = EasyDict({{'intra_op_parallelism_threads': 1, 'inter_op_parallelism_threads': 1}})
''')
    start = time.time()
    with open(os.path.join(args.result_dir, f'{name}.log'), 'w') as log:
        subprocess.run([sys.executable, os.path.join(ROOT, 'train.py'), '--config', path],
                       stdout=log, stderr=log, check=True)
    folders = [entry for entry in sorted(os.listdir(args.result_dir)) if entry.endswith(f'-{name}')]
    return os.path.join(args.result_dir, folders[-1]), time.time() - start


def _losses(args):
    if args.loss == 'wgangp':
        return f'D_loss.update(wgan_lambda={args.wgan_lambda})'
    return """G_loss = EasyDict(func='loss.G_lsgan_acgan')
D_loss = EasyDict(func='loss.D_lsgan_acgan')"""


class Measure:
    """Distances from real digits, for a set of images or a run.

    Args:
        reals: uint8 [N, 1, 16, 16].
        classifier: `metrics.mnist_modes.Classifier`; the Frechet distance compares its features.
        count: generated images per distance.
    """

    def __init__(self, reals, classifier, count):
        import metrics
        self._count, self._lock = count, threading.Lock()
        self._features = _features(classifier)
        self._swd = metrics.make('swd', count, [3, 16, 16], np.uint8, 250)
        _feed(self._swd, 'reals', reals)
        self._real_statistics = self._statistics(reals)

    def images(self, images):
        """{'swd': ..., 'frechet': ...} of images, uint8 [N, 1, 16, 16]."""
        distance = frechet_distance(*self._real_statistics, *self._statistics(images))
        return dict(swd=round(_feed(self._swd, 'fakes', images)[-1], 3),
                    frechet=round(float(distance), 4))

    def network(self, path):
        """Distances of the images of a snapshot's Gs."""
        import misc
        Gs = misc.load_pkl(path)[2]
        latents = np.random.RandomState(1).randn(self._count, *Gs.input_shape[1:])
        return self.images(generate(Gs, latents))

    def run(self, folder):
        """{'kimg': [...], 'swd': [...], 'frechet': [...]} of a run, and curves of its own
        statistics.
        """
        import misc
        found = {name: [] for name in ('kimg', *DISTANCES)}
        with self._lock:
            paths = {int(re.search(r'(\d+)\.pkl', path)[1]): path
                     for path in misc.list_network_pkls(folder, include_final=False)}
            for kimg, path in sorted(paths.items()):
                for name, value in dict(self.network(path), kimg=kimg).items():
                    found[name].append(value)
        return {**found, **_curves(folder)}

    def _statistics(self, images):
        statistics = Statistics()
        for start in range(0, len(images), 250):
            statistics.add(self._features(images[start:start + 250]))
        return statistics.result()


def _features(classifier):
    """Function from uint8 [N, 1, 16, 16] to the input of the classifier's last layer, [N, 96 k]."""
    import keras

    from metrics.mnist_modes import to_input
    from pgan.pixels import repeat_pixels
    layers = classifier.model.layers
    flat = next(layer for layer in layers if isinstance(layer, keras.layers.Flatten))
    model = keras.Model(classifier.model.inputs[0], flat.output)
    return lambda images: model(to_input(repeat_pixels(images, 2)), training=False).numpy()


def _feed(metric, mode, images):
    metric.begin(mode)
    for start in range(0, len(images), 250):
        metric.feed(mode, np.repeat(images[start:start + 250], 3, axis=1))
    return [float(value) for value in metric.end(mode)]


def _curves(folder):
    """Overfitting signal and augmentation probability at each tick."""
    with open(os.path.join(folder, 'stats.jsonl'), encoding='utf-8') as file:
        rows = [json.loads(line) for line in file]
    tags = {'signal': 'Overfitting/signal', 'probability': 'Augment/probability',
            'real_scores': 'Overfitting/real_scores', 'fake_scores': 'Overfitting/fake_scores',
            'held_out_scores': 'Overfitting/held_out_scores', 'sec_per_kimg': 'Timing/sec_per_kimg'}
    curves = {name: [round(row.get(tag) or 0.0, 4) for row in rows] for name, tag in tags.items()}
    return dict(tick_kimg=[row['Progress/kimg'] for row in rows], **curves)


# --------------------------------------------------------------------------------------------------
# Results.

def results_path(args):
    return os.path.join(args.result_dir, 'few_images.jsonl')


def add_result(args, row):
    """Print a row and add it to few_images.jsonl."""
    short = {name: row[name] for name in ('method', 'seed', 'seconds', 'run')}
    print(json.dumps({**short, **{name: min(row[name]) for name in DISTANCES}}), flush=True)
    add_row(results_path(args), row)
    return row


def table(results):
    """Markdown table of each method's distances: mean and range over its runs.

    It has the best distance, and the one at the last kimg that all runs reached, also relative to
    training without augmentation.
    """
    kimg = min(row['kimg'][-1] for row in results)
    found, lines = {}, []
    for method in dict.fromkeys(row['method'] for row in results):
        rows = [row for row in results if row['method'] == method]
        cells = []
        for name in DISTANCES:
            best = [min(row[name]) for row in rows]
            at = [row['kimg'][int(np.argmin(row[name]))] for row in rows]
            found[method, name] = then = [row[name][row['kimg'].index(kimg)] for row in rows]
            share = np.mean(then) / np.mean(found.get(('none', name), np.nan))
            cells += [_with_range(best), _with_range(at, '.0f'), _with_range(then), f'{share:.2f}']
        lines.append(f'| {method} | {len(rows)} | {" | ".join(cells)} |')
    titles = [f'best {name} | at kimg | at {kimg} kimg | of none' for name in DISTANCES]
    return '\n'.join([f'| method | runs | {" | ".join(titles)} |', '| --- ' * 10 + '|', *lines])


def _with_range(values, form='.3g'):
    return f'{np.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})'


def draw(results, path):
    """Draw distances, signal and probability over kimg: mean and range of each method's runs."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 6.4), layout='constrained')
    panels = {**DISTANCES, 'signal': 'overfitting signal', 'probability': 'probability (ada)'}
    for axes, (name, label) in zip(figure.subplots(2, 2).flat, panels.items()):
        place = 'kimg' if name in DISTANCES else 'tick_kimg'
        for number, method in enumerate(dict.fromkeys(row['method'] for row in results)):
            rows = [row for row in results if row['method'] == method]
            if name != 'probability' or any(any(row[name]) for row in rows):
                curves_of(axes, rows, place, name, method, f'C{number}')
        axes.set_ylabel(label)
        axes.set_xlabel('kimg')
        axes.grid(alpha=0.3)
        axes.set_xlim(0, None)
        if name in DISTANCES:
            axes.set_ylim(0, None)
    figure.axes[0].legend()
    figure.savefig(path, dpi=90)


def curves_of(axes, rows, place, name, label, color):
    """Draw the mean of some runs' curves, and their range."""
    count = min(len(row[place]) for row in rows)
    values = np.array([row[name][:count] for row in rows])
    kimg = rows[0][place][:count]
    axes.plot(kimg, values.mean(axis=0), label=label, color=color)
    axes.fill_between(kimg, values.min(axis=0), values.max(axis=0), alpha=0.2, color=color,
                      linewidth=0)


def draw_images(results, args, columns=20, zoom=2):
    """Draw a row of held-out digits, and a row of final images from each method's first run."""
    import dataset
    import misc
    from pgan.pixels import repeat_pixels
    reals = dataset.load_dataset(tfrecord_dir=os.path.join(args.data_dir, 'digits'), resolution=16)
    images = [reals.get_minibatch_np(columns)[0]]
    for method in dict.fromkeys(row['method'] for row in results):
        row = next(row for row in results if row['method'] == method)
        Gs = misc.load_network_pkl(os.path.join(args.result_dir, row['run']))[2]
        images.append(generate(Gs, np.random.RandomState(1).randn(columns, *Gs.input_shape[1:])))
    grid = repeat_pixels(np.concatenate(images), zoom)
    misc.save_image_grid(grid, os.path.join(args.result_dir, 'few_images-images.png'),
                         drange=[0, 255], grid_size=(columns, len(images)))


if __name__ == '__main__':
    main()
