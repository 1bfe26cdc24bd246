"""The phases of a run: parts in which the networks keep one lod, or fade from one to the next."""
import math
from typing import NamedTuple


class Phase(NamedTuple):
    """A part of a run in which the networks keep one lod, or fade from one to the next.

    Attributes:
        start_kimg, end_kimg: thousands of images.
        first, last: `TrainingSchedule` at its beginning, and just before its end.
    """
    start_kimg: float
    end_kimg: float
    first: object
    last: object

    @property
    def is_fading(self):
        return self.first.lod != self.last.lod

    @property
    def kimg(self):
        return self.end_kimg - self.start_kimg

    @property
    def ticks(self):
        return math.ceil(self.kimg / self.last.tick_kimg)


def list_phases(schedule, sched_options, start_kimg, total_kimg):
    """The phases of a run, in order.

    Args:
        schedule: function from images shown to a `TrainingSchedule`.
        sched_options: the schedule's options, for lod_training_kimg and lod_transition_kimg; as the
            schedule has them by default.
        start_kimg, total_kimg: where the run begins and ends.
    """
    stable, fading = sched_options.get('lod_training_kimg',
                                       600), sched_options.get('lod_transition_kimg', 600)
    marks, kimg = [start_kimg], 0.0
    while stable + fading > 0 and kimg < total_kimg and schedule(int(kimg * 1000)).lod > 0:
        marks += [
            mark for mark in (kimg + stable, kimg + stable + fading)
            if start_kimg < mark < total_kimg
        ]
        kimg += stable + fading
    marks = sorted({*marks, total_kimg})
    inside = [(start, end, schedule(int(start * 1000 + 1)), schedule(int(end * 1000 - 1)))
              for start, end in zip(marks, marks[1:])]
    return [Phase(*phase) for phase in inside]
