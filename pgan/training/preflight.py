"""What is found out before the first step, so that nothing comes up a week later: whether the
largest step fits into memory, whether the disk has room for the run, how the schedule goes and how
long it will take. """
import contextlib
import os
import shutil
import time

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, DataError
from pgan.progress_bar import progress_bar
from pgan.reporting.snapshots import snapshot_grid_size
from pgan.training.checkpoint import KEPT, random_state, restore_random_state
from tfutil import summary

PICTURE_COPIES = 250_000  # bytes of a grid's smaller copies in the event file and in report.html

# ---------------------------------------------------------------- the schedule as a table


# ---------------------------------------------------------------- room on the disk


def disk_space_needed(run_phases, networks, grid_size, image_snapshot_ticks,
                      network_snapshot_ticks):
    """Bytes that a run will fill: (its checkpoints and one snapshot, everything), from above.

    Args:
        run_phases: list of `Phase`.
        networks: (G, D, Gs).
        grid_size: config.grid's size.
        image_snapshot_ticks, network_snapshot_ticks: as for training.
    """
    G, D, Gs = (sum(
        np.prod(var.shape, dtype=np.int64) * var.dtype.size for var in net.vars.values())
                for net in networks)
    snapshot, checkpoint = G + D + Gs, G + D + Gs + 2 * (G + D)
    channels, height, width = networks[0].output_shape[1:]
    across, down = snapshot_grid_size(width, height, grid_size)
    ticks = sum(phase.ticks for phase in run_phases)
    pictures = (2 + ticks // image_snapshot_ticks) * (channels * height * across * width * down +
                                                      PICTURE_COPIES)
    least = int(checkpoint * (KEPT + 1) + snapshot)
    return least, int(least + snapshot * (1 + ticks // network_snapshot_ticks) + pictures)


def check_disk_space(result_dir, needed):
    """Say if the disk will be full before the run's end.

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


def _gigabytes(size):
    return f'{size / 1e9:.3g} GB' if size >= 1e8 else f'{size / 1e6:.3g} MB'


# ---------------------------------------------------------------- steps that leave no trace

@contextlib.contextmanager
def leaving_no_trace(steps):
    """Training steps made in the block change nothing: networks, optimizers, statistics, data and
    random numbers are as before.

    Args:
        steps: `TrainingSteps` of a run that has made no update yet: its optimizers are empty.
    """
    networks = (steps.G, steps.D, steps.Gs)
    values = [{name: net.get_var(name) for name in net.vars} for net in networks]
    scales = [opt.loss_scaling.numpy() for opt in (steps.G_opt, steps.D_opt)]
    state, data, sums, draws = steps.state(), steps.minibatches.state(), summary.state(
    ), random_state()
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


def dry_step(steps, sched):
    """The steps from one G update to the next, at one moment of the schedule.

    Args:
        steps: `TrainingSteps`.
        sched: `TrainingSchedule`.

    Returns:
        Seconds that a thousand images would take at this speed; compiling counts where it is
        needed.

    Raises:
        ConfigError: the step does not fit into memory.
    """
    start = time.perf_counter()
    with explaining_memory_shortage(sched):
        shown = sum(steps.run(sched, number) for number in range(len(steps.cycle)))
        summary.settle()
    return (time.perf_counter() - start) / shown * 1000


# What libraries say in errors of other types when memory is short: cuDNN's autotuning and
# workspaces, the driver.
_SHORTAGE = ('no algorithm worked', 'failed to allocate', 'out of memory', 'oom when allocating',
             'cudnn_status_alloc_failed')


def is_memory_shortage(error):
    """Whether an error says that memory does not suffice, of a device or of the host."""
    # NumPy's error is a MemoryError
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return True
    text = str(getattr(error, 'message', error)).lower()
    return isinstance(error, tf.errors.OpError) and any(said in text for said in _SHORTAGE)


@contextlib.contextmanager
def explaining_memory_shortage(sched):
    """Raise ConfigError if a step in the block does not fit into memory.

    Args:
        sched: `TrainingSchedule` of the step.
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


def largest(run_phases):
    """The schedule at the run's largest resolution, while it fades in: the step that takes most
    memory.
    """
    return max((phase.last for phase in run_phases), key=lambda sched: sched.resolution)


def try_largest(steps, run_phases):
    """See that the run's largest step fits into memory, and how long it takes: {resolution:
    sec/kimg}.

    Compiling takes a while at 1024x1024. The compiled step is kept, and used when the run gets
    there. """
    sched = largest(run_phases)
    with leaving_no_trace(steps), progress_bar(
            total=2, desc='Trying a step at '
            f'{sched.resolution}x{sched.resolution}', unit='step') as bar:
        with steps.compiling_early():
            for _ in range(2):  # the first one is also compiled
                sec_per_kimg = dry_step(steps, sched)
                bar.update()
    return {sched.resolution: sec_per_kimg}


def measure(steps, run_phases):
    """Seconds per thousand images at each resolution of a run: {resolution: sec/kimg}, from a few
    steps each after one to compile.
    """
    by_resolution, sec_per_kimg = {}, {}
    for phase in run_phases:
        if not phase.is_fading or phase.last.resolution not in by_resolution:
            by_resolution[phase.last.resolution] = phase.last
    with progress_bar(by_resolution.items(), desc='Measuring', unit='resolution') as bar:
        for resolution, sched in bar:
            with leaving_no_trace(steps):
                dry_step(steps, sched)
                # the same number on each machine: they work together
                times = [dry_step(steps, sched) for _ in range(3)]
            sec_per_kimg[resolution] = min(times)
    return sec_per_kimg
