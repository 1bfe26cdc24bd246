"""Progress of a run: tick lines in the log, scalars for TensorBoard, the bar on the terminal."""
import time
from collections.abc import Callable, Mapping
from typing import Any

import misc
from pgan.progress_bar import progress_bar
from pgan.reporting.protocols import Schedule
from pgan.reporting.timetable import Timetable, rough_time
from tfutil import autosummary


class Progress:
    """Counts ticks and time.

    Args:
        total_kimg: length of the run in thousands of images.
        cur_nimg: images shown before it starts.
        resume_time: seconds spent before it starts.
        setup_time: seconds that the first tick reports as maintenance.
        clock: function that returns the time in seconds (tests pass a fake).
        shown: whether to print tick lines and a bar; of several workers, only the chief does.
        timetable: estimates the time left that the bar shows; None = not shown.
    """

    def __init__(self, total_kimg: float, *, cur_nimg: int = 0, resume_time: float = 0.0,
                 setup_time: float = 0.0, clock: Callable[[], float] = time.time,
                 shown: bool = True, timetable: Timetable | None = None):
        self.shown = shown
        self.timetable = timetable
        # Time and images at the end of the last round or tick; None before the first.
        self.round_start: tuple[float, int] | None = None
        self.clock = clock
        self.start = clock() - resume_time
        self.cur_tick = 0
        self.tick_start_nimg = cur_nimg
        self.tick_start_time = clock()
        self.maintenance_time = setup_time
        self._tick_end = self.start
        # The delay hides the bar until training moves it: the overview is printed first.
        self.bar = progress_bar(total=total_kimg, initial=min(cur_nimg / 1000, total_kimg),
                                silent=not shown, mininterval=0.5, miniters=0, delay=1e-3)

    def update_bar(self, cur_nimg: int, sched: Schedule) -> None:
        """Move the terminal's bar after a round of updates."""
        if self.timetable is None and self.bar.disable:
            return
        now = self.clock()
        if self.timetable is not None:
            if self.round_start is not None:
                seconds, images = now - self.round_start[0], cur_nimg - self.round_start[1]
                self.timetable.add(sched.resolution, sched.lod % 1 != 0, seconds, images / 1000)
            self.round_start = now, cur_nimg
        if not self.bar.disable:
            self.bar.forms = self.live_lines(cur_nimg, sched)
            self.bar.update(min(cur_nimg / 1000, self.bar.total) - self.bar.n)

    def live_lines(self, cur_nimg: int, sched: Schedule) -> list[str]:
        """Forms of the terminal's line for `ProgressBar.forms`, from the longest to the shortest.

        The longest has kimg, lod, resolution, speed without compilation, and the time left of the
        stage and of the run.
        """
        kimg = 'kimg {n:.1f}/{total:.1f}'
        lod = f'lod {sched.lod:.2f} ({sched.resolution}x{sched.resolution})'
        speed, stage, run = '', '', ''
        if self.timetable is not None:
            seconds = self.timetable.speed(sched.resolution, sched.lod % 1 != 0)
            speed = f'sec/kimg {seconds:.4g}' if seconds is not None else ''
            of_stage, of_run = self.timetable.left(cur_nimg / 1000)
            if of_stage is not None and of_run is not None:
                stage = f'left: stage {rough_time(of_stage)}, run {rough_time(of_run)}'
                run = f'left {rough_time(of_run)}'
        percent, bar = '{percentage:3.0f}%', '{percentage:3.0f}%|{bar:12}|'
        return [f'{head} {", ".join(filter(None, parts))}' for head, parts in (
            (bar, (kimg, lod, speed, stage)), (percent, (kimg, lod, speed, stage)),
            (percent, (kimg, lod, speed, run)), (percent, (kimg, lod, run)),
            (percent, (lod, run)), (percent, (run or kimg,)))]

    def tick_is_over(self, cur_nimg: int, sched: Schedule, done: bool) -> bool:
        """Whether a tick's images have been shown, or the run is done."""
        return done or cur_nimg >= self.tick_start_nimg + sched.tick_kimg * 1000

    def tick(self, cur_nimg: int, sched: Schedule, note: str = '') -> None:
        """Print the tick line followed by a note, and report the tick's scalars."""
        self.cur_tick += 1
        now = self.clock()
        tick_kimg = (cur_nimg - self.tick_start_nimg) / 1000
        tick_time = now - self.tick_start_time
        total_time = now - self.start
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
            self.bar.clear()  # Until training continues: snapshots may print, too.
            print(f'{line} {note}'.rstrip(), flush=True)
        autosummary('Timing/total_hours', total_time / 3600)
        autosummary('Timing/total_days', total_time / (24 * 3600))
        self._tick_end = now

    def end_maintenance(self) -> None:
        """Start timing the next tick."""
        self.tick_start_time = self.clock()
        self.round_start = self.tick_start_time, self.tick_start_nimg
        self.maintenance_time = self.tick_start_time - self._tick_end

    def state(self) -> dict[str, Any]:
        """Ticks and times so far, for a checkpoint."""
        now = self.clock()
        return dict(cur_tick=self.cur_tick, tick_start_nimg=self.tick_start_nimg,
                    total_time=now - self.start, tick_time=now - self.tick_start_time,
                    maintenance_time=self.maintenance_time,
                    timetable=self.timetable.state() if self.timetable is not None else None)

    def restore(self, state: Mapping[str, Any], cur_nimg: int) -> None:
        """Restore a checkpoint; the time since it was saved does not count.

        Args:
            state: return value of `state`.
            cur_nimg: images shown when it was saved.
        """
        now = self.clock()
        self.cur_tick = state['cur_tick']
        self.tick_start_nimg = state['tick_start_nimg']
        self.start = now - state['total_time']
        self.tick_start_time = now - state['tick_time']
        self.maintenance_time = state['maintenance_time']
        # Checkpoints of earlier versions lack it.
        if self.timetable is not None and state.get('timetable'):
            self.timetable.restore(state['timetable'])
        self.bar.initial = self.bar.n = min(cur_nimg / 1000, self.bar.total)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


def tick_line(tick: int, kimg: float, lod: float, minibatch: int, total_sec: float,
              sec_per_tick: float, sec_per_kimg: float, maintenance_sec: float) -> str:
    """Tick line in the exact format that log parsers expect."""
    return (f'tick {tick:<5d} kimg {kimg:<8.1f} lod {lod:<5.2f} minibatch {minibatch:<4d} time '
            f'{misc.format_time(total_sec):<12s} sec/tick {sec_per_tick:<7.1f} sec/kimg '
            f'{sec_per_kimg:<7.2f} maintenance {maintenance_sec:.1f}')
