"""Checks before the first step, so that no problem comes up a week later.

They tell whether the largest step fits into memory, whether the disk has room for the run, and how
long each part of the schedule will take.
"""
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, DataError
from pgan.progress_bar import progress_bar
from pgan.reporting.snapshots import snapshot_grid_size
from pgan.training.checkpoint import KEPT, random_state, restore_random_state
from pgan.training.phases import Phase
from pgan.training.schedule import TrainingSchedule
from pgan.training.step import TrainingSteps
from tfutil import Network, summary

THUMBNAIL_BYTES = 250_000  # of a grid's smaller copies in the event file and in report.html

QUICK_SECONDS = 0.5  # of trial steps, in all: less says little about the speed

# ---------------------------------------------------------------- room on the disk


def disk_space_needed(run_phases: Sequence[Phase], networks: Sequence[Network], grid_size: str, *,
                      image_snapshot_ticks: int, network_snapshot_ticks: int) -> tuple[int, int]:
    """Upper bounds of the bytes that a run will fill.

    Args:
        run_phases: the phases of the run.
        networks: G, D, Gs.
        grid_size: config.grid's size.
        image_snapshot_ticks, network_snapshot_ticks: as for training.

    Returns:
        Bytes of its checkpoints and one snapshot, and of everything.
    """
    G, D, Gs = map(_variable_bytes, networks)
    snapshot = G + D + Gs
    checkpoint = snapshot + 2 * (G + D)
    _, channels, height, width = networks[0].output_shape
    across, down = snapshot_grid_size(width, height, grid_size)
    picture = channels * height * across * width * down + THUMBNAIL_BYTES
    ticks = sum(phase.ticks for phase in run_phases)
    least = checkpoint * (KEPT + 1) + snapshot
    snapshots = snapshot * (1 + ticks // network_snapshot_ticks)
    return least, least + snapshots + picture * (2 + ticks // image_snapshot_ticks)


def _variable_bytes(net: Network) -> int:
    return sum(int(np.prod(var.shape, dtype=np.int64)) * var.dtype.size
               for var in net.vars.values())


def check_disk_space(result_dir: str, needed: tuple[int, int]) -> None:
    """Warn if the disk will be full before the run's end.

    Args:
        result_dir: where the run's folder will be; need not exist.
        needed: what `disk_space_needed` gave.

    Raises:
        DataError: it will be full at once.
    """
    place = os.path.abspath(result_dir)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return
    least, everything = needed
    if free < least:
        raise DataError(f'{_gigabytes(free)} are free on the disk of result_dir = {result_dir!r}, '
                        'but checkpoints and a snapshot of these networks take '
                        f'{_gigabytes(least)}. Make room, or set result_dir to another disk.')
    if free < everything:
        print(f'Warning: {_gigabytes(free)} are free on the disk of result_dir = {result_dir!r}, '
              f'but the whole run will take up to {_gigabytes(everything)}. Make room in time, or '
              'save less often: train.network_snapshot_ticks, train.image_snapshot_ticks.')


def _gigabytes(size: float) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e8 else f'{size / 1e6:.3g} MB'


# ---------------------------------------------------------------- steps that leave no trace

@contextlib.contextmanager
def restoring_state(steps: TrainingSteps) -> Iterator[None]:
    """Undo the training steps of the block at its end.

    Networks, optimizers, statistics, data and random numbers are as before.

    Args:
        steps: the steps of a run that has made no update yet: its optimizers are empty.
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
    """Make the steps from one G update to the next, at one moment of the schedule.

    Args:
        steps: the steps of a run.
        sched: the moment.

    Returns:
        Seconds that a thousand images would take at this speed, including compilation where it is
        needed.

    Raises:
        ConfigError: the step does not fit into memory.
    """
    start = time.perf_counter()
    with explaining_memory_shortage(sched):
        shown = sum(steps.run(sched, number) for number in range(len(steps.step_kinds)))
        summary.resolve_deferred()
    return (time.perf_counter() - start) / shown * 1000


# What libraries say in errors of other types when memory is short: cuDNN's autotuning and
# workspaces, the driver.
_SHORTAGE = ('no algorithm worked', 'failed to allocate', 'out of memory', 'oom when allocating',
             'cudnn_status_alloc_failed')


def is_memory_shortage(error: Exception) -> bool:
    """Whether an error means that memory does not suffice, of a device or of the host."""
    # NumPy's error is a MemoryError
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return True
    text = str(getattr(error, 'message', error)).lower()
    return isinstance(error, tf.errors.OpError) and any(part in text for part in _SHORTAGE)


@contextlib.contextmanager
def explaining_memory_shortage(sched: TrainingSchedule) -> Iterator[None]:
    """Raise ConfigError if a step in the block does not fit into memory.

    Args:
        sched: the moment of the step.
    """
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        of = 'this machine' if isinstance(error, MemoryError) else 'the device(s)'
        raise ConfigError(
            f'a minibatch of {sched.minibatch} at {sched.resolution}x{sched.resolution} does not '
            f'fit into the memory of {of}. Lower sched.minibatch_dict[{sched.resolution}] or set '
            'sched.max_minibatch_per_gpu, choose half precision (-fp16 or -bf16 in config.py), or '
            'lower G.fmap_max and D.fmap_max.') from error


class Trial(NamedTuple):
    """What a stage has been measured to take.

    Attributes:
        resolution, is_fading: the stage.
        sec_per_kimg: seconds per thousand images, without compiling.
        compiling: seconds.
    """
    resolution: int
    is_fading: bool
    sec_per_kimg: float
    compiling: float


def schedule_of_largest_step(run_phases: Sequence[Phase]) -> TrainingSchedule:
    """The schedule while the largest resolution fades in: that step takes most memory."""
    return max((phase.last for phase in run_phases), key=lambda sched: sched.resolution)


def try_largest_step(steps: TrainingSteps, run_phases: Sequence[Phase]) -> list[Trial]:
    """Check that the run's largest step fits into memory.

    Compiling takes a while at 1024x1024. The compiled step is kept, and used when the run gets
    there.
    """
    sched = schedule_of_largest_step(run_phases)
    text = f'Trying a step at {sched.resolution}x{sched.resolution}'
    with restoring_state(steps), progress_bar(total=3, desc=text, unit='step') as bar:
        with steps.compiling_early():
            return [_try(steps, sched, 2, bar.update)]


def try_all_steps(steps: TrainingSteps, run_phases: Sequence[Phase]) -> list[Trial]:
    """Trials at each resolution of a run, with a few steps each after one to compile."""
    by_resolution: dict[int, TrainingSchedule] = {}
    for phase in run_phases:
        if not phase.is_fading or phase.last.resolution not in by_resolution:
            by_resolution[phase.last.resolution] = phase.last
    trials = []
    with progress_bar(by_resolution.values(), desc='Measuring', unit='resolution') as bar:
        for sched in bar:
            with restoring_state(steps):
                trials.append(_try(steps, sched, 3))
    return trials


def _try(steps: TrainingSteps, sched: TrainingSchedule, times: int,
         after_each: Callable[[], object] = lambda: None) -> Trial:
    """Make dry steps: one that is also compiled, then `times` more.

    The first ones still warm up, so where they are quick there are some more. Several machines work
    together: each makes the same number.
    """
    def timed() -> tuple[float, float]:
        start = time.perf_counter()
        sec_per_kimg = dry_step(steps, sched)
        return time.perf_counter() - start, sec_per_kimg
    first, _ = timed()
    after_each()
    later = []
    for _ in range(times):
        later.append(timed())
        after_each()
    is_alone = steps.devices.workers == 1
    while is_alone and len(later) < 12 and sum(one for one, _ in later) < QUICK_SECONDS:
        later.append(timed())
    seconds, sec_per_kimg = min(later)
    return Trial(sched.resolution, sched.lod % 1 != 0, sec_per_kimg, max(first - seconds, 0.0))
