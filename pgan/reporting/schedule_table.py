"""The schedule of a run as a table."""
from collections.abc import Mapping, Sequence

import misc
from pgan.reporting.protocols import Phase


def print_schedule(run_phases: Sequence[Phase], sec_per_kimg: Mapping[int, float] | None = None,
                   measured: str = 'the steps measured just now') -> None:
    """Print the phases as a table.

    Args:
        run_phases: the phases.
        sec_per_kimg: seconds by resolution; adds columns of times.
        measured: the source of these times, for a note below.
    """
    heading = (f'{"kimg":>17s}  {"resolution":>10s}  {"lod":>12s}  {"minibatch":>9s}  '
               f'{"G_lrate":>8s}  {"D_lrate":>8s}')
    print(heading + (f'  {"sec/kimg":>9s}  {"time":>12s}' if sec_per_kimg else ''))
    for phase in run_phases:
        sched = phase.last
        lods = f'{sched.lod:.2f}'
        if phase.is_fading:
            lods = f'{phase.first.lod:.2f} - {lods}'
        line = (f'{phase.start_kimg:8.5g} - {phase.end_kimg:6.6g}  '
                f'{f"{sched.resolution}x{sched.resolution}":>10s}  {lods:>12s}  '
                f'{sched.minibatch:9d}  {sched.G_lrate:8.3g}  {sched.D_lrate:8.3g}')
        if sec_per_kimg:
            seconds = sec_per_kimg[sched.resolution]
            line += f'  {seconds:9.3g}  {misc.format_time(seconds * phase.kimg):>12s}'
        print(line)
    if sec_per_kimg:
        total = sum(sec_per_kimg[phase.last.resolution] * phase.kimg for phase in run_phases)
        print(f'In all {misc.format_time(total)} of training, by {measured}; compiling, fading, '
              'snapshots and metrics come on top.')
