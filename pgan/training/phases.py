"""The phases of a run: parts in which the networks keep one lod, or fade from one to the next."""
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pgan.options import with_defaults
from pgan.training.schedule import TrainingSchedule, growth_start


class Phase(NamedTuple):
    """A part of a run in which the networks keep one lod, or fade from one to the next.

    Attributes:
        start_kimg, end_kimg: start and end in thousands of images.
        first, last: `TrainingSchedule` at the start, and just before the end.
    """
    start_kimg: float
    end_kimg: float
    first: TrainingSchedule
    last: TrainingSchedule

    @property
    def is_fading(self) -> bool:
        return self.first.lod != self.last.lod

    @property
    def kimg(self) -> float:
        return self.end_kimg - self.start_kimg

    @property
    def ticks(self) -> int:
        return math.ceil(self.kimg / self.last.tick_kimg)


def list_phases(schedule: Callable[[int], TrainingSchedule], sched_options: Mapping[str, Any],
                start_kimg: float, total_kimg: float) -> list[Phase]:
    """The phases of a run, in order.

    Args:
        schedule: function: images shown -> `TrainingSchedule`.
        sched_options: config.sched, the options of the schedule that are set.
        start_kimg, total_kimg: start and end of the run in thousands of images.
    """
    options = with_defaults(TrainingSchedule, sched_options)
    stable, fading = options['lod_training_kimg'], options['lod_transition_kimg']
    marks, kimg = [start_kimg], -schedule(0).kimg_ahead
    # 1e-9: at the end of the last transition, lod may differ from 0 by a rounding error.
    while stable + fading > 0 and kimg < total_kimg and schedule(int(kimg * 1000)).lod > 1e-9:
        ends = kimg + stable, kimg + stable + fading
        marks += [end for end in ends if start_kimg < end < total_kimg]
        kimg += stable + fading
    # max: no phases are left of a run that is already beyond total_kimg.
    marks = sorted({*marks, max(total_kimg, start_kimg)})
    return [Phase(start, end, schedule(int(start * 1000 + 1)), schedule(int(end * 1000 - 1)))
            for start, end in zip(marks, marks[1:])]


def full_resolution_kimg(sched_options: Mapping[str, Any], resolution_log2: int,
                         start_lod: float | None = None) -> float | None:
    """Thousands of images until a schedule reaches the data set's resolution; None if it never
    does.

    Args:
        sched_options: config.sched.
        resolution_log2: of the data set.
        start_lod: see `TrainingSchedule`.
    """
    options = with_defaults(TrainingSchedule, sched_options)
    stable, fading = options['lod_training_kimg'], options['lod_transition_kimg']
    steps, ahead = growth_start(resolution_log2, options['lod_initial_resolution'], stable, fading,
                                start_lod)
    each: float = stable + fading
    return None if steps > 0 and not each else max(steps, 0) * each - ahead
