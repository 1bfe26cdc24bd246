"""The phases of a run: parts in which the networks keep one lod, or fade from one to the next."""
import math
from typing import NamedTuple

from pgan.options import with_defaults
from pgan.training.schedule import TrainingSchedule


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
        sched_options: the options of the schedule that are set.
        start_kimg, total_kimg: where the run begins and ends.
    """
    options = with_defaults(TrainingSchedule, sched_options)
    stable, fading = options['lod_training_kimg'], options['lod_transition_kimg']
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
