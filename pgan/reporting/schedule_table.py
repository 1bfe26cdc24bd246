"""Table of a run's schedule."""
import textwrap
from collections.abc import Sequence

from pgan.reporting.protocols import Phase
from pgan.reporting.timetable import Expected, rough_time

_HEADINGS = ('kimg', 'resolution', 'lod', 'minibatch', 'G_lrate', 'D_lrate')
_TIME_HEADINGS = ('sec/kimg', 'time')
_SHORTER = dict(resolution='size', minibatch='batch')
WIDTH = 80  # columns of a terminal


def print_schedule(run_phases: Sequence[Phase], expected: Sequence[Expected] | None = None,
                   on_top: str = '') -> None:
    """Print the phases as a table.

    Args:
        run_phases: the phases.
        expected: estimated time of each phase; adds columns of times, and a line with their sum.
        on_top: subject and verb of a note on what the sum excludes, e.g. 'Metrics come'.
    """
    rows = [[*_HEADINGS, *(_TIME_HEADINGS if expected else ())]]
    for number, phase in enumerate(run_phases):
        rows.append(_cells(phase))
        if expected:
            rate = expected[number].sec_per_kimg
            rows[-1] += [f'{rate:.3g}' if rate < 100 else f'{rate:.0f}',
                         rough_time(expected[number].seconds)]
    lines = _aligned(rows, '  ')
    if len(lines[0]) > WIDTH:
        lines = _aligned(rows, ' ')
    if len(lines[0]) > WIDTH:
        rows = [[_SHORTER.get(cell, cell.replace(' - ', '-')) for cell in row] for row in rows]
        lines = _aligned(rows, ' ')
    print('\n'.join(lines))
    if expected:
        print(textwrap.fill(_total(expected) + (f' {on_top} on top.' if on_top else ''), WIDTH))


def _aligned(rows: Sequence[Sequence[str]], gap: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [gap.join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]


def _cells(phase: Phase) -> list[str]:
    sched = phase.last
    lods = f'{sched.lod:.2f}'
    if phase.is_fading:
        lods = f'{phase.first.lod:.2f} - {lods}'
    return [f'{phase.start_kimg:.5g} - {phase.end_kimg:.6g}',
            f'{sched.resolution}x{sched.resolution}', lods, str(sched.minibatch),
            f'{sched.G_lrate:.3g}', f'{sched.D_lrate:.3g}']


def _total(expected: Sequence[Expected]) -> str:
    """Sum of the times: 'In all 3m 02s: training 1m 10s, compiling 1m 40s, saving 12s.'"""
    parts = {name: sum(getattr(stage, name) for stage in expected)
             for name in ('training', 'compiling', 'saving')}
    texts = ', '.join(f'{name} {rough_time(seconds)}' for name, seconds in parts.items())
    return f'In all {rough_time(sum(parts.values()))}: {texts}.'
