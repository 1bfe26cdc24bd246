"""Learning curves of the original and of this program: python -m benchmarks.learning_curves -h

Draws docs/learning_curves.png from benchmarks/results/2026-11-26-original.jsonl. These numbers are
explained in benchmarks/results/2026-11-26-original.md.
"""
import statistics
import sys

from benchmarks.common import ROOT, Parser, read_rows

RESULTS = ROOT / 'benchmarks' / 'results' / '2026-11-26-original.jsonl'
PICTURE = ROOT / 'docs' / 'learning_curves.png'
PANELS = {  # distance: (axis label, tick values)
    'swd': ('SWD at 16x16, x1e3', [20, 30, 50, 100, 200, 300]),
    'frechet': ('Frechet distance of 8x8 pixels', [0.2, 0.5, 1, 2, 5, 10]),
}


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.learning_curves', description=__doc__.split('\n')[0])
    parser.add_argument('--output', default=PICTURE, metavar='FILE.png',
                        help='the picture (default: docs/learning_curves.png)')
    return parser.parse_args(argv)


def read(what):
    """Lines of one kind, such as 'speed' or 'learning', in the results file; [] without the file.
    """
    return [line for line in read_rows(RESULTS) if line['what'] == what]


def draw(runs, path):
    """Draw both distances over kimg on log scales: each run as a thin line, program means as thick
    ones.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    for axes, (name, (label, ticks)) in zip(figure.subplots(1, 2), PANELS.items()):
        for color, program in zip(('tab:orange', 'tab:blue'), ('original', 'this program')):
            rows = [row for row in runs if row['program'] == program]
            for row in rows:
                axes.plot(row['kimg'], row[name], color=color, linewidth=0.8, alpha=0.6)
            means = [statistics.mean(values) for values in zip(*(row[name] for row in rows))]
            axes.plot(rows[0]['kimg'], means, color=color, linewidth=2.5, marker='o', markersize=4,
                      label=f'{program}: mean of {len(rows)} seeds')
        axes.set(xlabel='kimg', ylabel=label, yscale='log')
        axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=90)


def main(argv=None):
    args = parse_args(argv)
    runs = read('learning')
    if not runs:
        sys.exit(f'Error: {RESULTS} is missing. The repository has it: git checkout {RESULTS}')
    draw(runs, args.output)
    print(f'{args.output} is drawn.')


if __name__ == '__main__':
    main()
