"""Fine-tuning on 200 digits, compared with training from scratch.

    python -m benchmarks.fine_tuning -h

Trains a network on the 2500 digits 0 to 4. Then, for each seed, trains twice on 200 digits 5 to 9:
from scratch and with train.init_from. Measures the distance of each snapshot from the 2300 digits
5 to 9 that no run sees. Prints a JSON line per run and a table, and draws curves. Runs that are
already in fine_tuning.jsonl are not repeated.
"""
import json
import os

import numpy as np

from benchmarks.common import Parser, add_row, read_rows
from benchmarks.few_images import DISTANCES, Measure, curves_of, digits_of, make_digits, run_config

OLD, NEW = 'digits-0-4', 'digits-5-9'
IMAGES = 2500  # in each data set
SMOOTHING = 0.98  # of Gs: over 0.8 kimg, so that a snapshot shows the effect of its last kimg


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.fine_tuning', description=__doc__.split('\n')[0])
    parser.add_argument('--images', type=int, default=200, help='to train on (default: 200)')
    parser.add_argument('--seeds', type=int, default=3, help='pairs of runs (default: 3)')
    parser.add_argument('--donor_kimg', type=float, default=40,
                        help='length of the run on the digits 0 to 4 (default: 40)')
    parser.add_argument('--kimg', type=float, default=30,
                        help='length of a run from scratch (default: 30)')
    parser.add_argument('--tuned_kimg', type=float, default=10,
                        help='length of a fine-tuning run (default: 10)')
    parser.add_argument('--lrate', type=float, default=0.004,
                        help="in place of the paper's 0.001 (default: 0.004)")
    parser.add_argument('--measured', type=int, default=2000,
                        help='images per distance (default: 2000)')
    parser.add_argument('--result_dir', default='results',
                        help='for the runs and fine_tuning.jsonl and .png')
    parser.add_argument('--data_dir', default='datasets',
                        help='folder of the data sets; missing ones are made')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from metrics.mnist_modes import find_classifier
    os.makedirs(args.result_dir, exist_ok=True)
    make_data_sets(args.data_dir)
    measure = Measure(
        digits_of(args.data_dir, NEW, IMAGES - args.images, 'validation', args.measured),
        find_classifier(args.data_dir, args.result_dir), args.measured)
    path = os.path.join(args.result_dir, 'fine_tuning.jsonl')
    rows = read_rows(path)

    def make(kind, seed, **options):
        row = next((row for row in rows if (row['kind'], row['seed']) == (kind, seed)), None)
        if row is None:
            folder, seconds = train(args, kind, seed, **options)
            row = dict(kind=kind, seed=seed, seconds=round(seconds), run=os.path.basename(folder),
                       **measure.run(folder), lrate=args.lrate, images=args.images,
                       G_smoothing=SMOOTHING)
            print(json.dumps({name: row[name] for name in ('kind', 'seed', 'seconds', *DISTANCES)}),
                  flush=True)
            add_row(path, row)
            rows.append(row)
        return row
    donor = make('donor', 0, total_kimg=args.donor_kimg, tick_kimg=args.donor_kimg / 4)
    for seed in range(args.seeds):
        make('tuned', seed, init_from=os.path.join(args.result_dir, donor['run']),
             total_kimg=args.tuned_kimg, tick_kimg=1)
        make('from nothing', seed, total_kimg=args.kimg, tick_kimg=2)
    print(table(rows))
    draw(rows, os.path.join(args.result_dir, 'fine_tuning.png'))


def make_data_sets(data_dir):
    """Make `digits` and its two halves, unless they exist."""
    from pgan.data.writer import TFRecordExporter
    from pgan.importers.digits import load_digits
    make_digits(data_dir)
    for name, wanted in ((OLD, range(5)), (NEW, range(5, 10))):
        if not os.path.isdir(os.path.join(data_dir, name)):
            source = load_digits()
            numbers = np.flatnonzero(np.isin(source.labels.argmax(axis=1), wanted))
            with TFRecordExporter(os.path.join(data_dir, name), len(numbers),
                                  print_progress=False) as exporter:
                for number in exporter.choose_shuffled_order():
                    exporter.add_image(next(source.fetch([numbers[number]]))[1])


def train(args, kind, seed, *, total_kimg, tick_kimg, init_from=None):
    """Run train.py once. Returns its result folder and seconds."""
    data, validation = (OLD, 0) if kind == 'donor' else (NEW, IMAGES - args.images)
    return run_config(args, f'{kind.replace(" ", "-")}-{args.images}', seed, f'''
dataset = EasyDict(tfrecord_dir={data!r}, resolution=16, validation={validation})
G.update(fmap_base=128, fmap_max=32)
D.update(fmap_base=256, fmap_max=64)
sched.update(tick_kimg_base={tick_kimg}, G_lrate_base={args.lrate}, D_lrate_base={args.lrate})
train.update(total_kimg={total_kimg}, network_snapshot_ticks=1, init_from={init_from!r})
train.update(G_smoothing={SMOOTHING})
''')


# --------------------------------------------------------------------------------------------------
# Results.

def reached(kimg, distances, wanted):
    """First kimg at which a distance is at most `wanted`, or None."""
    return next((at for at, found in zip(kimg, distances) if found <= wanted), None)


def compare(rows, name, kimg):
    """For each seed, compare when both runs reach the same distance.

    Args:
        rows: of fine_tuning.jsonl.
        name: of the distance.
        kimg: of a snapshot.

    Returns:
        List of (seed, distance of the run from scratch at that kimg, kimg at which the tuned run
        reaches it or None). Seeds without both runs, or without that snapshot, are left out.
    """
    found = []
    for seed in sorted({row['seed'] for row in rows}):
        runs = {row['kind']: row for row in rows if row['seed'] == seed}
        if {'tuned', 'from nothing'} <= set(runs) and kimg in runs['from nothing']['kimg']:
            slow, fast = runs['from nothing'], runs['tuned']
            wanted = slow[name][slow['kimg'].index(kimg)]
            found.append((seed, wanted, reached(fast['kimg'], fast[name], wanted)))
    return found


def table(rows):
    """Markdown table of when each seed's tuned run reaches the distances of training from scratch.
    """
    lines = ['| distance | kimg from scratch | distance reached | kimg fine-tuned |',
             '| --- ' * 4 + '|']
    snapshots = {kimg for row in rows if row['kind'] == 'from nothing' for kimg in row['kimg']}
    for name in DISTANCES:
        for kimg in sorted(snapshots):
            seeds = compare(rows, name, kimg)
            reaches = ', '.join(f'{wanted:.3g}' for _, wanted, _ in seeds)
            at = ', '.join('later' if kimg is None else f'{kimg}' for _, _, kimg in seeds)
            lines.append(f'| {name} | {kimg} | {reaches} | {at} |')
    return '\n'.join(lines)


def draw(rows, path):
    """Draw the distances over kimg."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 3.6), layout='constrained')
    for axes, (name, label) in zip(figure.subplots(1, 2), DISTANCES.items()):
        for number, kind in enumerate(('from nothing', 'tuned')):
            runs = [row for row in rows if row['kind'] == kind]
            curves_of(axes, runs, 'kimg', name, kind, f'C{number}')
        axes.set(xlabel='kimg', ylabel=label)
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=90)


if __name__ == '__main__':
    main()
