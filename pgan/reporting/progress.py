"""What a run says now and then: the tick line of the log, the scalars of TensorBoard, the bar on
the terminal.
"""
import sys
import time

from tqdm import tqdm

import misc
from tfutil import autosummary


class Progress:
    """Counts ticks and time.

    Args:
        total_kimg: length of the run in thousands of images.
        cur_nimg: images shown before it starts.
        resume_time: seconds spent before it starts.
        setup_time: seconds that the first tick reports as maintenance.
        clock: function that gives seconds (tests hand in their own).
        shown: print tick lines and a bar; where several machines train together, one of them does.
        timetable: a `Timetable`, which the live line's times left are from; None = it shows none.
    """

    def __init__(self, total_kimg, cur_nimg=0, resume_time=0.0, setup_time=0.0, clock=time.time,
                 shown=True, timetable=None):
        self.shown = shown
        self.timetable = timetable
        # time and images at the end of the last round, unless something else has happened since
        self.round_start = None
        self.clock = clock
        self.start = clock() - resume_time
        self.cur_tick = 0
        self.tick_start_nimg = cur_nimg
        self.tick_start_time = clock()
        self.maintenance_time = setup_time
        self.bar = tqdm(
            total=total_kimg, initial=min(cur_nimg / 1000,
                                          total_kimg), unit='kimg', leave=False, file=sys.stderr,
            disable=not shown, dynamic_ncols=True, mininterval=0.5 if sys.stderr.isatty() else 15,
            bar_format='{percentage:3.0f}%|{bar:12}| kimg '
            '{n:.1f}/{total:.1f}{postfix}')

    def show(self, cur_nimg, sched):
        """After a round of updates: move the terminal's live line."""
        now = self.clock() if self.timetable or not self.bar.disable else None
        if self.timetable is not None:
            if self.round_start is not None:
                seconds, images = now - self.round_start[0], cur_nimg - self.round_start[1]
                self.timetable.add(sched.resolution, sched.lod % 1 != 0, seconds, images / 1000)
            self.round_start = now, cur_nimg
        if not self.bar.disable:
            self.bar.set_postfix_str(self.live_text(cur_nimg, sched, now), refresh=False)
            self.bar.update(min(cur_nimg / 1000, self.bar.total) - self.bar.n)

    def live_text(self, cur_nimg, sched, now):
        """What the live line tells behind the kimg: lod, resolution, speed of this tick, time
        left.
        """
        text = f'lod {sched.lod:.2f} ({sched.resolution}x{sched.resolution})'
        kimg = (cur_nimg - self.tick_start_nimg) / 1000
        if kimg > 0:
            text += f', sec/kimg {(now - self.tick_start_time) / kimg:.4g}'
        stage, run = self.timetable.left(cur_nimg / 1000) if self.timetable is not None else (None,
                                                                                              None)
        if run is not None:
            text += f', left: stage {misc.format_time(stage)}, run {misc.format_time(run)}'
        return text

    def tick_is_over(self, cur_nimg, sched, done):
        return done or cur_nimg >= self.tick_start_nimg + sched.tick_kimg * 1000

    def tick(self, cur_nimg, sched):
        """Print the tick line, and report the tick's scalars."""
        if self.timetable is not None and self.cur_tick and self.maintenance_time:
            # of the tick before; the first one's is the setting up
            self.timetable.add_maintenance(self.maintenance_time)
        self.cur_tick += 1
        now = self.clock()
        tick_kimg, tick_time, total_time = (
            cur_nimg - self.tick_start_nimg) / 1000, now - self.tick_start_time, now - self.start
        self.tick_start_nimg = cur_nimg
        line = tick_line(autosummary('Progress/tick', self.cur_tick),
                         autosummary('Progress/kimg', cur_nimg / 1000),
                         autosummary('Progress/lod', sched.lod),
                         autosummary('Progress/minibatch', sched.minibatch),
                         autosummary('Timing/total_sec', total_time),
                         autosummary('Timing/sec_per_tick', tick_time),
                         autosummary('Timing/sec_per_kimg', tick_time / max(tick_kimg, 1e-9)),
                         autosummary('Timing/maintenance_sec', self.maintenance_time))
        if self.shown:
            with tqdm.external_write_mode(file=sys.stdout):
                print(line, flush=True)
        autosummary('Timing/total_hours', total_time / 3600)
        autosummary('Timing/total_days', total_time / (24 * 3600))
        self._tick_end = now

    def maintenance_is_over(self):
        """Start the next tick's clock."""
        self.tick_start_time = self.clock()
        self.round_start = self.tick_start_time, self.tick_start_nimg
        self.maintenance_time = self.tick_start_time - self._tick_end

    def state(self):
        """Ticks, and times up to now, for a checkpoint."""
        now = self.clock()
        return dict(cur_tick=self.cur_tick, tick_start_nimg=self.tick_start_nimg,
                    total_time=now - self.start, tick_time=now - self.tick_start_time,
                    maintenance_time=self.maintenance_time,
                    timetable=self.timetable.state() if self.timetable is not None else None)

    def restore(self, state, cur_nimg):
        """Go on counting from what `state` gave; the time since then does not count.

        Args:
            state: dict of numbers.
            cur_nimg: images shown up to then.
        """
        now = self.clock()
        self.cur_tick, self.tick_start_nimg = state['cur_tick'], state['tick_start_nimg']
        self.start, self.tick_start_time = now - state['total_time'], now - state['tick_time']
        self.maintenance_time = state['maintenance_time']
        # checkpoints of earlier versions have none
        if self.timetable is not None and state.get('timetable'):
            self.timetable.restore(state['timetable'])
        self.bar.initial = self.bar.n = min(cur_nimg / 1000, self.bar.total)

    def close(self):
        self.bar.close()


def tick_line(tick, kimg, lod, minibatch, total_sec, sec_per_tick, sec_per_kimg, maintenance_sec):
    """The line that log parsers read, in its exact form."""
    return (f'tick {tick:<5d} kimg {kimg:<8.1f} lod {lod:<5.2f} minibatch {minibatch:<4d} time '
            f'{misc.format_time(total_sec):<12s} sec/tick {sec_per_tick:<7.1f} sec/kimg '
            f'{sec_per_kimg:<7.2f} maintenance {maintenance_sec:.1f}')
