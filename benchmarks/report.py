"""Tables and a picture of the results of `python -m benchmarks`."""
import statistics

from benchmarks import learning_curves
from benchmarks.common import significant

# seconds per kimg of the original by stage: narrow networks, 2 cores, mean of two rounds
ORIGINAL = {row['stage']: significant(statistics.mean(row['original_sec_per_kimg']), 3)
            for row in learning_curves.read('speed')}


def lines_of(results, section):
    """(key, result line) of each measurement in a section."""
    return [(key, line) for key, entry in results['measurements'].items()
            if entry['section'] == section for line in entry.get('lines', ())]


def table(heading, rows):
    """A Markdown table; None becomes an empty cell. Empty without rows."""
    if not rows:
        return ''
    cells = [['' if cell is None else str(cell) for cell in row] for row in (heading, *rows)]
    return '\n'.join('| ' + ' | '.join(row) + ' |'
                     for row in (cells[0], ['---'] * len(heading), *cells[1:])) + '\n'


def markdown(results, name):
    """The whole report as Markdown."""
    session = results['sessions'][0]
    machine = session['machine']
    parts = [
        f'# {name}', 'Written by `python -m benchmarks`' +
        (' with `--quick`: **a test of the benchmarks; the numbers mean nothing.**'
         if results['options']['quick'] else '.'),
        f'{machine.get("cores")} cores of {machine.get("processor")}, {machine.get("memory_gb")} '
        f'GB, TensorFlow {machine.get("tensorflow")}, commit {machine.get("commit")}, started '
        f'{session["started"]}' +
        (f', in {len(results["sessions"])} sessions' if len(results['sessions']) > 1 else '') +
        '. Load before each measurement: '
        f'{_range([entry["load_before"] for entry in results["measurements"].values()])} '
        '(0 = idle machine).'
    ]
    for title, rows in (('Ceiling of the machine', _machine), ('Training', _training),
                        ('First stages of a 1024x1024 run', _large),
                        ('Compared with a bare step', _bare),
                        ('Compared with pro-gan-pth', _peers), ('Generating images', _generator),
                        ('Data pipeline', _pipeline),
                        ('Making data sets', _dataset_tool), ('Start and maintenance', _startup)):
        text = rows(results)
        if text:
            parts += [f'## {title}', text.rstrip('\n')]
    failed = [
        f'- {key}: {entry["error"].splitlines()[-1]}'
        for key, entry in results['measurements'].items() if 'error' in entry
    ]
    if failed:
        parts += ['## Failed measurements', '\n'.join(failed)]
    return '\n\n'.join(parts) + '\n'


def _range(values):
    known = [value for value in values if value is not None]
    return f'{min(known):g} to {max(known):g}' if known else 'not known'


def _percent(share):
    return None if share is None else f'{100 * share:.3g} %'


def _machine(results):
    return table(['measure', 'precision', 'best'], [
        [line['measure'].replace('_', ' '), line.get('dtype'),
         f'{line["gflops"]:g} GFLOP/s' if 'gflops' in line else f'{line["gb_per_sec"]:g} GB/s']
        for _, line in lines_of(results, 'machine')])


def _stage(line):
    return f'{line["resolution"] >> int(line["lod"])}{" fading" * (line["lod"] % 1 > 0)}'


def _step_rows(results, section):
    return [[
        f'{line["fmap_base"]}/{line["fmap_max"]}',
        _stage(line), line['minibatch'], line['dtype'], line['sec_per_kimg'],
        line['gflop_per_kimg'], line['gflops'],
        line.get('ceiling_gflops'),
        _percent(line.get('share_of_ceiling')), line['compile_sec'], line['peak_mb']
    ] for _, line in lines_of(results, section)]


STEP_HEADING = [
    'width', 'stage', 'minibatch', 'precision', 's/kimg', 'GFLOP/kimg', 'GFLOP/s',
    'convolution, GFLOP/s', 'share', 'compile s', 'peak MB'
]


def _training(results):
    text = table(STEP_HEADING, _step_rows(results, 'training'))
    text += _passes(results)
    narrow = [
        line for _, line in lines_of(results, 'training')
        if line['fmap_base'] == 256 and line['dtype'] == 'float32' and line['lod'] %
        1 == 0 and not results['options']['quick']
    ]
    if narrow:
        text += ('\nThe original (TensorFlow 1.15 with MKL) was measured on two cores of an AMD '
                 'EPYC, alternately with commit 6c543e8 of this program '
                 '(2026-11-26-original.md), not in the same run as the figures here:\n\n')
        text += table(['stage, narrow', 'original s/kimg', 's/kimg', 'times faster'], [[
            _stage(line),
            ORIGINAL.get(int(_stage(line))), line['sec_per_kimg'],
            significant(ORIGINAL[int(_stage(line))] / line['sec_per_kimg'], 2)
        ] for line in narrow if int(_stage(line)) in ORIGINAL])
    return text


def _passes(results):
    rows = {}
    for _, line in lines_of(results, 'training'):
        if 'by_pass' in line:  # the same in every precision
            key = f'{line["fmap_base"]}/{line["fmap_max"]}', _stage(line), line['minibatch']
            rows[key] = [*key, *line['by_pass'].values(), *line['optimizer'].values()]
    heading = [
        'width', 'stage', 'minibatch', 'forward', 'backward', 'second order', 'optimizer',
        'optimizer GB'
    ]
    return rows and ('\nWork per 1000 images: GFLOP of each pass; GFLOP of Adam and the moving '
                     'average, and the GB that they read and write.\n\n'
                     + table(heading, rows.values())) or ''


def _large(results):
    text = table(STEP_HEADING, _step_rows(results, 'large'))
    small = {
        (_stage(line), line['fmap_max'], line['minibatch'], line['dtype']): line['sec_per_kimg']
        for _, line in lines_of(results, 'training')
    }
    rows = []
    for _, line in lines_of(results, 'large'):
        beside = small.get((_stage(line), line['fmap_max'], line['minibatch'], line['dtype']))
        if beside:
            rows.append([_stage(line), significant(line['sec_per_kimg'] / beside, 3)])
    return text + ('\n' + table(['stage', 'compared with the same stage of a 32x32 run'], rows)
                   if rows else '')


def _bare(results):
    return table(['width', 'resolution', 'minibatch', 's/kimg', 'bare', 'ratio', 'quartiles'],
                 [[
                     f'{line["fmap_base"]}/{line["fmap_max"]}', line['resolution'],
                     line['minibatch'], line['sec_per_kimg'], line['bare_sec_per_kimg'],
                     line['beside_bare']['ratio'], f'{line["beside_bare"]["lower"]} to '
                     f'{line["beside_bare"]["upper"]}'
                 ] for _, line in lines_of(results, 'bare')])


def _peers(results):
    return table(['resolution', 'minibatch', 's/kimg', 'pro-gan-pth', 'ratio', 'quartiles'], [[
        line['resolution'], line['minibatch'], line['sec_per_kimg'], line['peer_sec_per_kimg'],
        line['beside_peer']['ratio'],
        f'{line["beside_peer"]["lower"]} to {line["beside_peer"]["upper"]}'
    ] for _, line in lines_of(results, 'peers')])


def _generator(results):
    return table([
        'resolution', 'precision', 'images at a time', 'images/s', 'load s', 'first image s',
        'peak MB'
    ], [[
        line['resolution'], line['dtype'], line['minibatch'], line['images_per_sec'],
        line['load_sec'], line['first_image_sec'], line['peak_mb']
    ] for _, line in lines_of(results, 'generator')])


def _pipeline(results):
    steps = {(int(_stage(line))): line['sec_per_kimg'] for _, line in lines_of(results, 'training')
             if line['fmap_base'] == 256 and line['dtype'] == 'float32' and line['lod'] % 1 == 0}
    rows = []
    for _, line in lines_of(results, 'pipeline'):
        step = steps.get(line['resolution'])
        shares = [
            _percent(1000 / line[what] / step if step else None)
            for what in ('warm_read', 'warm_ready_mirror')
        ]
        rows.append([
            line['resolution'], line['minibatch'],
            line.get('cold_read'), line['warm_read'], line['warm_ready'], line['warm_ready_mirror'],
            *shares
        ])
    text = table([
        'resolution', 'minibatch', 'cold: read', 'warm: read', 'warm: ready',
        'warm: ready, mirrored', 'read / narrow step', 'ready, mirrored / narrow step'
    ], rows)
    not_dropped = [
        str(line['resolution']) for _, line in lines_of(results, 'pipeline')
        if 'cold_read' not in line
    ]
    note = (f' At {", ".join(not_dropped)} the system kept its cache, so there is no cold '
            'figure.') if not_dropped else ''
    return text and f'Images/s.{note}\n\n{text}'


def _dataset_tool(results):
    return table(['case', 'images', 'images/s', 'peak MB'],
                 [[line['case'], line['images'], line['images_per_sec'], line['peak_mb']]
                  for _, line in lines_of(results, 'dataset_tool')])


def _startup(results):
    return table([
        'run', 'first step s', 'until training s', 'compile s by stage', 'image grid s',
        'networks s', 'checkpoint s', 'maintenance', 'peak MB'
    ], [[
        f'{line["resolution"]}x{line["resolution"]}, {line["fmap_base"]}/{line["fmap_max"]}',
        line['first_step_sec'], line['setup_sec'], ', '.join(
            f'{stage}: {seconds}' for stage, seconds in line['compile_sec'].items()),
        line['maintenance_sec'].get('images'), line['maintenance_sec'].get('networks'),
        line['maintenance_sec'].get('checkpoint'),
        _percent(line['maintenance_share']), line['peak_mb']
    ] for _, line in lines_of(results, 'startup')])


# ---------------------------------------------------------------- the picture

def plot(results, path):
    """Draw seconds per kimg by stage and the share of the ceiling as a PNG file.

    Returns whether there was anything to draw.
    """
    series = {}
    for _, line in lines_of(results, 'training'):
        if line['lod'] % 1 == 0:
            series.setdefault((f'{line["fmap_base"]}/{line["fmap_max"]}', line['dtype']),
                              []).append(line)
    peers = sorted(
        (line['resolution'], line['peer_sec_per_kimg']) for _, line in lines_of(results, 'peers'))
    if not series and not peers:
        return False
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for (width, dtype), lines in sorted(series.items()):
        lines.sort(key=lambda line: int(_stage(line)))
        sizes = [_stage(line) for line in lines]
        style = dict(marker='o', markersize=4, linestyle='-' if dtype == 'float32' else '--',
                     label=f'{width} {dtype}', color='C0' if width.startswith('256') else 'C1')
        left.plot(sizes, [line['sec_per_kimg'] for line in lines], **style)
        right.plot(sizes, [100 * line.get('share_of_ceiling', float('nan')) for line in lines],
                   **style)
    if peers:
        left.plot([str(size) for size, _ in peers], [seconds for _, seconds in peers], 'k^:',
                  markersize=4, label='pro-gan-pth')
    left.set(xlabel='stage', ylabel='seconds per kimg', yscale='log')
    right.set(xlabel='stage', ylabel='% of the convolution ceiling', ylim=(0, None))
    left.legend(fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    return True
