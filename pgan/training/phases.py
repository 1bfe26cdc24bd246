"""The phases of a run: parts in which the networks keep one lod, or fade from one to the next."""
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pgan.training.schedule import TrainingSchedule


class Phase(NamedTuple):
    """A part of a run in which the networks keep one lod, or fade from one to the next.

    Attributes:
        start_kimg, end_kimg: thousands of images.
        first, last: `TrainingSchedule` at its beginning, and just before its end.
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
        schedule: function from images shown to the schedule's values.
        sched_options: config.sched, for lod_training_kimg and lod_transition_kimg.
        start_kimg, total_kimg: where the run begins and ends.
    """
    stable = sched_options.get('lod_training_kimg', 600)
    fading = sched_options.get('lod_transition_kimg', 600)
    marks, kimg = [start_kimg], 0.0
    while stable + fading > 0 and kimg < total_kimg and schedule(int(kimg * 1000)).lod > 0:
        ends = kimg + stable, kimg + stable + fading
        marks += [end for end in ends if start_kimg < end < total_kimg]
        kimg += stable + fading
    marks = sorted({*marks, total_kimg})
    return [Phase(start, end, schedule(int(start * 1000 + 1)), schedule(int(end * 1000 - 1)))
            for start, end in zip(marks, marks[1:])]
