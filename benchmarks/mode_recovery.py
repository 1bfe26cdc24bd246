"""A small version of the paper's mode recovery test, on MNIST-RGB made of 5000 digits.

    python -m benchmarks.mode_recovery -h

Trains the variants of configs/mnist_modes.py with several seeds, by default with a hundredth of the
paper's images, and counts the modes of each final Gs. Prints a JSON line per run and a table, and
draws both. Runs that are already in mode_recovery.jsonl are not repeated.
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

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VARIANTS = ('plain', 'mbstddev', 'progression')
PAPER_KIMG = 10000  # of a run without progression; a progressive one has 1.5x


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.mode_recovery', description=__doc__.split('\n')[0])
    parser.add_argument('--variants', nargs='+', default=VARIANTS, help='of configs/mnist_modes.py')
    parser.add_argument('--K', type=int, default=4,
                        help='factor by which D is smaller than G (default: 4)')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each variant (default: 3)')
    parser.add_argument('--kimg', type=float, default=100,
                        help="length of a run, in place of the paper's 10000 (default: 100)")
    parser.add_argument('--minibatch', type=int, default=16,
                        help="in place of the paper's 64 (default: 16)")
    parser.add_argument('--lrate', type=float, default=0.003,
                        help="in place of the paper's 0.001 (default: 0.003)")
    parser.add_argument('--G_smoothing', type=float, default=0.995,
                        help='in place of 0.999 (default: 0.995)')
    parser.add_argument('--images', type=int, default=10000,
                        help='generated images to count modes in (default: 10000)')
    parser.add_argument('--processes', type=int, default=2,
                        help='runs at the same time, each on one thread (default: 2)')
    parser.add_argument('--result_dir', default='results',
                        help='for the runs and mode_recovery.jsonl, .png, -images.png')
    parser.add_argument('--data_dir', default='datasets',
                        help='folder of the data sets; missing ones are made')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    make_data_sets(args.data_dir)
    os.makedirs(args.result_dir, exist_ok=True)
    results = read_rows(results_path(args))
    measure = Measure(args)
    if not any(row['variant'] == 'reals' for row in results):
        results.append(add_result(args, dict(variant='reals', seed=0, **measure.reals())))
    runs = [(variant, seed) for seed in range(args.seeds) for variant in args.variants]
    done = {(row['variant'], row['seed']) for row in results}

    def make(run):
        folder, seconds = train(args, *run)
        row = dict(variant=run[0], seed=run[1], seconds=round(seconds),
                   run=os.path.basename(folder))
        return add_result(args, {**row, **measure.run(folder)})
    with concurrent.futures.ThreadPoolExecutor(args.processes) as pool:
        results += pool.map(make, [run for run in runs if run not in done])
    print(table(results, args.variants))
    draw(results, args.variants, os.path.join(args.result_dir, 'mode_recovery.png'))
    draw_images(results, args.variants, args)


# --------------------------------------------------------------------------------------------------
# Data sets, runs, counts.

def make_data_sets(data_dir, num_images=20000, random_seed=123):
    """Make the data sets that are missing.

    They are `digits`, for the classifier, and `mnistrgb-5k`: the same 5000 digits, three per image.
    """
    from pgan.data.writer import TFRecordExporter
    from pgan.importers.digits import load_digits
    digits, rgb = (os.path.join(data_dir, name) for name in ('digits', 'mnistrgb-5k'))
    if not os.path.isdir(digits):
        subprocess.run(
            [sys.executable,
             os.path.join(ROOT, 'dataset_tool.py'), 'create_digits', digits], check=True)
    if not os.path.isdir(rgb):
        source, random = load_digits(), np.random.RandomState(random_seed)
        planes = np.stack([image[0] for _, image in source.fetch(range(source.num_images))])
        with TFRecordExporter(rgb, num_images, print_progress=False) as exporter:
            for _ in range(num_images):
                exporter.add_image(planes[random.randint(len(planes), size=3)])


def configuration(K, variant):
    """Source of configs/mnist_modes.py with the two settings at its top replaced."""
    with open(os.path.join(ROOT, 'configs', 'mnist_modes.py'), encoding='utf-8') as file:
        text = re.sub(r"^_K = \d+", f'_K = {K}', file.read(), flags=re.M)
    return re.sub(r"^_variant = '\w+'", f"_variant = '{variant}'", text, flags=re.M)


def train(args, variant, seed):
    """Run train.py once. Returns its result folder and seconds."""
    scale = args.kimg / PAPER_KIMG
    name = f'modes-K{args.K}-{variant}-seed{seed}'
    path = os.path.join(args.result_dir, f'{name}.py')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(
            configuration(args.K, variant) + f'''
desc = {name!r}
random_seed = {1000 + seed}
data_dir, result_dir = {args.data_dir!r}, {args.result_dir!r}
dataset.tfrecord_dir = 'mnistrgb-5k'
train.update(total_kimg=train.total_kimg * {scale}, G_smoothing={args.G_smoothing})
train.update(image_snapshot_ticks=1000, network_snapshot_ticks=1000)
sched.update(minibatch_base={args.minibatch}, tick_kimg_base=10, tick_kimg_dict={{}})
sched.update(G_lrate_base={args.lrate}, D_lrate_base={args.lrate})
sched.update(lod_training_kimg=sched.lod_training_kimg * {scale})
sched.update(lod_transition_kimg=sched.lod_transition_kimg * {scale})
tf_config = EasyDict({{'intra_op_parallelism_threads': 1, 'inter_op_parallelism_threads': 1}})
''')
    start = time.time()
    with open(os.path.join(args.result_dir, f'{name}.log'), 'w') as log:
        subprocess.run(
            [sys.executable, os.path.join(ROOT, 'train.py'), '--config', path], stdout=log,
            stderr=log, check=True)
    folders = [entry for entry in sorted(os.listdir(args.result_dir)) if entry.endswith(f'-{name}')]
    return os.path.join(args.result_dir, folders[-1]), time.time() - start


class Measure:
    """Counts modes, for one run at a time."""

    def __init__(self, args):
        import metrics
        self._args, self._lock = args, threading.Lock()
        self._metric = metrics.make('modes', args.images, [3, 32, 32], np.uint8, 250,
                                    result_dir=args.result_dir, data_dir=args.data_dir)

    def reals(self):
        import dataset
        reals = dataset.load_dataset(tfrecord_dir=os.path.join(self._args.data_dir, 'mnistrgb-5k'))
        return self._count('reals', lambda count: reals.get_minibatch_np(count)[0])

    def run(self, folder):
        import misc
        with self._lock:
            _, _, Gs = misc.load_network_pkl(folder)
            random = np.random.RandomState(1000)
            return self._count('fakes',
                               lambda count: generate(Gs, random.randn(count, *Gs.input_shape[1:])))

    def _count(self, mode, images):
        self._metric.begin(mode)
        for start in range(0, self._args.images, 250):
            self._metric.feed(mode, images(min(250, self._args.images - start)))
        modes, divergence = self._metric.end(mode)
        return dict(modes=int(modes), kl=round(divergence, 4))


# --------------------------------------------------------------------------------------------------
# Results.

def results_path(args):
    return os.path.join(args.result_dir, 'mode_recovery.jsonl')


def add_result(args, row):
    """Print a row and add it to mode_recovery.jsonl."""
    print(json.dumps(row), flush=True)
    add_row(results_path(args), row)
    return row


def table(results, variants):
    """Mean and standard deviation of each variant, as a Markdown table."""
    lines = ['| variant | runs | modes of 1000 | KL |', '| --- | --- | --- | --- |']
    for variant in ['reals', *variants]:
        rows = [row for row in results if row['variant'] == variant]
        modes, kl = ([row[name] for row in rows] for name in ('modes', 'kl'))
        lines.append(
            f'| {variant} | {len(rows)} | {np.mean(modes):.1f} +- {np.std(modes):.1f} '
            f'| {np.mean(kl):.3f} +- {np.std(kl):.3f} |')
    return '\n'.join(lines)


def draw(results, variants, path):
    """Draw each run as a dot, the means as bars, and the reals as a dashed line."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 3.2), layout='constrained')
    for axes, name, label in zip(figure.subplots(1, 2), ('modes', 'kl'),
                                 ('modes of 1000', 'KL divergence from equal frequencies')):
        for place, variant in enumerate(variants):
            values = [row[name] for row in results if row['variant'] == variant]
            axes.bar(place, np.mean(values), width=0.6, color='tab:blue', alpha=0.3)
            axes.scatter([place] * len(values), values, color='tab:blue', zorder=3)
        for row in results:
            if row['variant'] == 'reals':
                axes.axhline(row[name], color='tab:gray', linestyle='--', linewidth=1)
                axes.annotate('real images', (0, row[name]), xycoords=('axes fraction', 'data'),
                              fontsize=8, va='bottom')
        axes.set_xticks(range(len(variants)), variants)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, axis='y')
    figure.savefig(path, dpi=90)


def draw_images(results, variants, args, columns=16, zoom=2):
    """Draw a row of real images, and a row of images from each variant's first run."""
    import dataset
    import misc
    from pgan.pixels import repeat_pixels
    reals = dataset.load_dataset(tfrecord_dir=os.path.join(args.data_dir, 'mnistrgb-5k'))
    images = [reals.get_minibatch_np(columns)[0]]
    for variant in variants:
        row = next(row for row in results if row['variant'] == variant)
        _, _, Gs = misc.load_network_pkl(os.path.join(args.result_dir, row['run']))
        images.append(generate(Gs, np.random.RandomState(1).randn(columns, *Gs.input_shape[1:])))
    grid = repeat_pixels(np.concatenate(images), zoom)
    misc.save_image_grid(grid, os.path.join(args.result_dir, 'mode_recovery-images.png'),
                         drange=[0, 255], grid_size=(columns, len(images)))


if __name__ == '__main__':
    main()
