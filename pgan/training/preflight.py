"""Checks before the first step, so that no problem appears a week later.

They check whether the largest step fits into memory and whether the disk has room for the run, and
measure how long each part of the schedule will take.
"""
import contextlib
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, DataError, is_memory_shortage, memory_asked_for
from pgan.progress_bar import ProgressBar, progress_bar
from pgan.reporting.image_grids import snapshot_grid_size
from pgan.reporting.pictures_section import MAX_PICTURES
from pgan.training.checkpoint import KEPT, random_state, restore_random_state
from pgan.training.phases import Phase
from pgan.training.schedule import TrainingSchedule
from pgan.training.step import TrainingSteps
from tfutil import Network, summary

# Upper bounds of file contents other than numbers and pixels.
THUMBNAIL_BYTES = 250_000  # downscaled grid in the event file and in report.html
VARIABLE_BYTES = 400  # name and offset of a variable in a snapshot or checkpoint
FILE_BYTES = 50_000  # source code in a snapshot; random state and statistics in a checkpoint
PAGE_BYTES = 400_000  # log, options and charts, which are also in report.html
TICK_BYTES = 8_000  # lines of the log and of stats.jsonl, and points of curves
HISTOGRAM_BYTES = 1_500  # per variable
GRAPH_BYTES = 30_000  # graph of the operations on a variable

QUICK_SECONDS = 0.5  # total time of trial steps; less gives no reliable speed
LONG_SECONDS = 5  # if the first trial step takes longer, the others are announced one by one

# ---------------------------------------------------------------- disk space


class DiskSpace(NamedTuple):
    """Upper bounds of the disk space of a run, in bytes.

    Attributes:
        checkpoints: the checkpoints that are kept, and the one being written.
        snapshots: all network-snapshot-*.pkl, and network-final.pkl.
        pictures: reals.png, nearest.png and all fakes*.png.
        reports: log, curves, report.html and all other files.
        at_once: the part of these that the run needs to start at all.
    """
    checkpoints: int
    snapshots: int
    pictures: int
    reports: int
    at_once: int

    @property
    def total(self) -> int:
        return self.checkpoints + self.snapshots + self.pictures + self.reports


def disk_space_needed(run_phases: Sequence[Phase], networks: Sequence[Network], grid_size: str, *,
                      image_snapshot_ticks: int, network_snapshot_ticks: int,
                      save_weight_histograms: bool = False,
                      save_tf_graph: bool = False) -> DiskSpace:
    """Compute upper bounds of the disk space that a run needs.

    Args:
        run_phases: the phases of the run.
        networks: G, D, Gs.
        grid_size: `size` of config.grid.
        image_snapshot_ticks, network_snapshot_ticks, save_weight_histograms, save_tf_graph: as for
            training.
    """
    ticks = sum(phase.ticks for phase in run_phases)
    G, D, Gs = map(_variable_bytes, networks)
    snapshot = G + D + Gs + FILE_BYTES
    _, channels, height, width = networks[0].output_shape
    across, down = snapshot_grid_size(width, height, grid_size)
    inputs = sum(shape[1] for shape in networks[2].input_shapes)
    # at most float64, base64-encoded
    grid_state = across * down * inputs * 8 * 4 // 3
    checkpoint = snapshot + 2 * (G + D) + grid_state + FILE_BYTES
    picture = png_bytes(width * across, height * down, channels)
    thumbnail = min(THUMBNAIL_BYTES, 3 * picture)
    pictures = 4 + ticks // image_snapshot_ticks  # one for nearest.png
    # The page has pictures in base64, and the old page stays until the new one is written.
    first_page = 2 * (2 * thumbnail * 4 // 3 + PAGE_BYTES)
    page = 2 * (min(MAX_PICTURES + 2, pictures) * thumbnail * 4 // 3 + PAGE_BYTES)
    variables = sum(len(net.vars) for net in networks)
    tick = TICK_BYTES + (variables * HISTOGRAM_BYTES if save_weight_histograms else 0)
    return DiskSpace(checkpoints=(KEPT + 1) * checkpoint,
                     snapshots=(2 + ticks // network_snapshot_ticks) * snapshot,
                     pictures=pictures * picture,
                     reports=(page + PAGE_BYTES + ticks * tick + pictures * thumbnail
                              + (variables * GRAPH_BYTES if save_tf_graph else 0)),
                     at_once=(KEPT + 1) * checkpoint + snapshot + 2 * picture + first_page)


def png_bytes(width: int, height: int, channels: int) -> int:
    """Upper bound of the size of a PNG: that of noise, which deflate stores uncompressed."""
    raw = height * (width * channels + 1)
    return raw + raw // 1000 + 1000


def _variable_bytes(net: Network) -> int:
    """Size of a network's variables in a file, including their names."""
    return sum(int(np.prod(var.shape, dtype=np.int64)) * var.dtype.size + VARIABLE_BYTES
               for var in net.vars.values())


def check_memory(run_phases: Sequence[Phase], num_channels: int) -> None:
    """Check that a minibatch of real images fits into this machine's memory at all.

    Without this check, it can take hours of filling the memory before anything fails.

    Raises:
        ConfigError: a minibatch does not fit.
    """
    try:
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, ValueError, OSError):  # Windows
        return
    for sched in (phase.last for phase in run_phases):
        size = sched.minibatch * num_channels * sched.resolution ** 2 * np.float32().nbytes
        if size > memory:
            raise ConfigError(f'a minibatch of {sched.minibatch} images of {sched.resolution}x'
                              f'{sched.resolution} takes {_size_text(size)}, but this machine has '
                              f'only {_size_text(memory, math.floor)} of memory. Lower '
                              'sched.minibatch_base, sched.minibatch_dict or '
                              'sched.max_minibatch_per_gpu.')


def check_disk_space(result_dir: str, needed: DiskSpace) -> None:
    """Warn if the disk will fill up before the run ends.

    Args:
        result_dir: parent of the run's folder; need not exist.
        needed: result of `disk_space_needed`.

    Raises:
        DataError: there is not even enough space to start.
    """
    place = os.path.abspath(result_dir)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return
    have = _size_text(free, math.floor)
    if free < needed.at_once:
        raise DataError(f'{have} are free on the disk of result_dir = {result_dir!r}, but '
                        'checkpoints and a snapshot of these networks, image grids and the report '
                        f'take up to {_size_text(needed.at_once)}. Free some space, or set '
                        'result_dir to a folder on another disk.')
    if free < needed.total:
        parts = ', '.join(f'{name} {_size_text(size)}' for name, size in needed._asdict().items()
                          if name != 'at_once')
        print(f'Warning: {have} are free on the disk of result_dir = {result_dir!r}, but the '
              f'whole run will take up to {_size_text(needed.total)} ({parts}). Free some space in '
              'time, or save less often: train.network_snapshot_ticks, '
              'train.image_snapshot_ticks.')


def _size_text(size: int, rounded: Callable[[float], int] = math.ceil) -> str:
    """Format a size with three digits, e.g. '1.7 MB'; rounded up by default, so that it suffices.
    """
    unit, name = (10**9, 'GB') if size >= 10**8 else (10**6, 'MB')
    step = 10.0 ** (math.floor(math.log10(max(size, 1) / unit)) - 2)
    return f'{rounded(size / unit / step) * step:.3g} {name}'


# ---------------------------------------------------------------- trial steps

@contextlib.contextmanager
def restoring_state(steps: TrainingSteps) -> Iterator[None]:
    """Undo the training steps made in the block when it ends.

    Restores networks, optimizers, statistics, data position and random state.

    Args:
        steps: steps of a run before its first update, so that its optimizers are empty.
    """
    networks = (steps.G, steps.D, steps.Gs)
    values = [{name: net.get_var(name) for name in net.vars} for net in networks]
    scales = [opt.loss_scaling.numpy() for opt in (steps.G_opt, steps.D_opt)]
    state = steps.state()
    data = steps.minibatches.state()
    sums = summary.state()
    draws = random_state()
    try:
        yield
    finally:
        for net, before in zip(networks, values):
            for name, value in before.items():
                net.set_var(name, value)
        steps.reset_optimizers()
        for opt, scale in zip((steps.G_opt, steps.D_opt), scales):
            opt.loss_scaling.assign(scale)
        steps.restore(state)
        steps.minibatches.restore(data)
        summary.restore(sums)
        restore_random_state(draws)


def dry_step(steps: TrainingSteps, sched: TrainingSchedule) -> float:
    """Make the steps from one G update to the next, at one point of the schedule.

    Args:
        steps: the steps of a run.
        sched: the point of the schedule.

    Returns:
        Seconds per thousand images at this speed, including compilation if it was necessary.

    Raises:
        ConfigError: the step does not fit into memory.
    """
    start = time.perf_counter()
    with explaining_memory_shortage(sched):
        shown = sum(steps.run(sched, number) for number in range(len(steps.step_kinds)))
        summary.resolve_deferred()
    return (time.perf_counter() - start) / shown * 1000


@contextlib.contextmanager
def explaining_memory_shortage(sched: TrainingSchedule) -> Iterator[None]:
    """Raise ConfigError if a step in the block does not fit into memory.

    Args:
        sched: the point of the schedule.
    """
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        of = 'this machine' if isinstance(error, MemoryError) else 'the device(s)'
        asked = memory_asked_for(error)
        raise ConfigError(
            f'a minibatch of {sched.minibatch} at {sched.resolution}x{sched.resolution} does not '
            f'fit into the memory of {of}{f" ({asked})" if asked else ""}. Lower '
            f'sched.minibatch_dict[{sched.resolution}] or set sched.max_minibatch_per_gpu, choose '
            'half precision (-fp16 or -bf16 in config.py), or lower G.fmap_max and '
            'D.fmap_max.') from error


class Trial(NamedTuple):
    """Measured times of a stage.

    Attributes:
        resolution, is_fading: the stage.
        sec_per_kimg: seconds per thousand images, without compilation.
        compiling: seconds of compilation.
    """
    resolution: int
    is_fading: bool
    sec_per_kimg: float
    compiling: float


def schedule_of_largest_step(run_phases: Sequence[Phase]) -> TrainingSchedule:
    """The schedule while the largest resolution fades in, when a step takes the most memory."""
    return max((phase.last for phase in run_phases), key=lambda sched: sched.resolution)


def try_largest_step(steps: TrainingSteps, run_phases: Sequence[Phase]) -> list[Trial]:
    """Check that the run's largest step fits into memory.

    Compilation takes a while at 1024x1024. The compiled step is kept for when the run gets there.
    """
    sched = schedule_of_largest_step(run_phases)
    text = f'Trying a step at {sched.resolution}x{sched.resolution}'
    with restoring_state(steps), progress_bar(total=3, desc=text, unit='step') as bar:
        with steps.compiling_early():
            return [_try(steps, sched, 2, bar.update,
                         lambda n: _announce(bar, f'{text}, {n} of 3'))]


def try_all_steps(steps: TrainingSteps, run_phases: Sequence[Phase]) -> list[Trial]:
    """Measure each resolution of a run with a few steps, after one that compiles."""
    by_resolution: dict[int, TrainingSchedule] = {}
    for phase in run_phases:
        if not phase.is_fading or phase.last.resolution not in by_resolution:
            by_resolution[phase.last.resolution] = phase.last
    trials = []
    with progress_bar(total=4 * len(by_resolution), desc='Measuring', unit='step') as bar:
        for sched in by_resolution.values():
            text = f'Trying a step at {sched.resolution}x{sched.resolution}'
            bar.set_description(text)
            with restoring_state(steps):
                trials.append(_try(steps, sched, 3, bar.update, _announcer(bar, text)))
    return trials


def _announcer(bar: ProgressBar, text: str) -> Callable[[int], None]:
    return lambda number: _announce(bar, f'{text}, {number} of 4')


def _announce(bar: ProgressBar, text: str) -> None:
    """Print a progress line if no bar is shown."""
    if bar.disable:
        print(f'{text}...', flush=True)


def time_stages(steps: TrainingSteps, run_phases: Sequence[Phase], seconds: float) -> list[Trial]:
    """Measure each stage of a run, fading or not: one step that compiles, then others for a time.

    Args:
        steps: steps of a run before its first update.
        run_phases: the phases whose stages are measured.
        seconds: measuring time per stage. The result is the mean speed: on a shared machine, the
            fastest step does not predict the speed of a long run.
    """
    by_stage = {(phase.last.resolution, phase.is_fading): phase.last for phase in run_phases}
    trials = []
    for (resolution, is_fading), sched in by_stage.items():
        with restoring_state(steps):
            start = time.perf_counter()
            dry_step(steps, sched)
            first = time.perf_counter() - start
            dry_step(steps, sched)  # still warms up
            rates: list[float] = []
            start = time.perf_counter()
            while not rates or time.perf_counter() - start < seconds:
                rates.append(dry_step(steps, sched))
            each = (time.perf_counter() - start) / len(rates)
        trials.append(Trial(resolution, is_fading, sum(rates) / len(rates),
                            max(first - each, 0.0)))
    return trials


def _try(steps: TrainingSteps, sched: TrainingSchedule, times: int,
         after_each: Callable[[], object] = lambda: None,
         announce: Callable[[int], object] = lambda number: None) -> Trial:
    """Make dry steps: one that includes compilation, then `times` more.

    `announce` is called before the first step, and before the others if the first one took long.

    The first steps still warm up, so more are made if they are quick. With several workers there
    are no extra steps, because all must make the same number.
    """
    def timed() -> tuple[float, float]:
        start = time.perf_counter()
        sec_per_kimg = dry_step(steps, sched)
        return time.perf_counter() - start, sec_per_kimg
    announce(1)
    first, _ = timed()
    after_each()
    later = []
    for number in range(times):
        if first > LONG_SECONDS:
            announce(number + 2)
        later.append(timed())
        after_each()
    is_alone = steps.devices.workers == 1
    while is_alone and len(later) < 12 and sum(one for one, _ in later) < QUICK_SECONDS:
        later.append(timed())
    # The median: on a shared machine, the fastest step does not predict the speed of a long run.
    seconds, sec_per_kimg = sorted(later)[(len(later) - 1) // 2]
    return Trial(sched.resolution, sched.lod % 1 != 0, sec_per_kimg, max(first - seconds, 0.0))
