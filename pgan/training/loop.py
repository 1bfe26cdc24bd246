"""The training loop: `train_progressive_gan` is what `python train.py` runs by default."""
import contextlib
import dataclasses
import functools
import math
import os
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import tensorflow as tf

import misc
from misc import logs, resuming, run_files, run_status
from pgan import settings
from pgan.errors import ConfigError, UserError
from pgan.options import (
    Count,
    Fraction,
    Interval,
    NonNegative,
    Positive,
    Size,
    Snapshot,
    ValueRange,
    with_defaults,
)
from pgan.reporting import overview
from pgan.reporting.next_steps import next_steps
from pgan.reporting.progress import Progress
from pgan.reporting.report import Report
from pgan.reporting.runs_index import RunsIndex
from pgan.reporting.snapshot_metrics import SnapshotMetrics
from pgan.reporting.snapshots import (
    ImageSnapshots,
    NoFolder,
    RunFolder,
    setup_snapshot_image_grid,
)
from pgan.reporting.timetable import Timetable, image_cost
from pgan.signals import StopRequest, graceful_stop
from pgan.training import advice, phases, preflight, threads, transfer
from pgan.training.augment import Method
from pgan.training.checkpoint import Checkpoints, random_state, restore_random_state
from pgan.training.health import HealthWatch
from pgan.training.reals import initialize_from_reals
from pgan.training.schedule import TrainingSchedule
from pgan.training.setup import (
    load_held_out,
    load_training_set,
    loss_function,
    make_networks,
)
from pgan.training.step import TrainingSteps, UpdateOptions
from tfutil import Optimizer, summary
from tfutil.cluster import ClusterError
from tfutil.devices import Devices, make_devices
from tfutil.fusion import fusion_works

STOPPING = ('Stopping after this step. The state of the run will be saved; a second signal stops '
            'at once, without saving.')
STOPPING_EARLY = 'Stopping at once: there is nothing new to save yet.'
SNAPSHOT = 1.5  # time for a snapshot and a checkpoint / time for a checkpoint

def train_progressive_gan(
    G_smoothing: Fraction = 0.999,
    D_repeats: Count = 1,
    minibatch_repeats: Count = 4,
    reset_opt_for_new_lod: bool = True,
    total_kimg: NonNegative = 15000,
    mirror_augment: bool = False,
    drange_net: ValueRange = [-1, 1],
    image_snapshot_ticks: Count = 1,
    network_snapshot_ticks: Count = 10,
    save_tf_graph: bool = False,
    save_weight_histograms: bool = False,
    metrics: list[str] = [],
    metric_images: Count = 2048,
    metrics_against: Literal['training', 'validation'] = 'training',
    nearest_fakes: Annotated[int, Interval(0, 8)] = 0,
    xla: bool = False,
    checkpoint_minutes: NonNegative = 15.0,
    dry_step: bool = True,
    resume_run_id: int | str | None = None,
    resume_snapshot: Snapshot = None,
    resume_kimg: NonNegative = 0.0,
    resume_time: NonNegative = 0.0,
    separate_funcs: bool = True,
    dequantize_reals: bool = False,
    augment: Method | None = None,
    augment_target: Fraction = 0.5,
    augment_kimg: Positive = 100,
    init_from: int | str | None = None,
    freeze_D: Size = 0,
    *,
    config: Any,
    resume: Any = None,
    dry_run: bool = False,
) -> str | None:
    """Train G and D progressively on a data set and write a result folder.

    Args:
        G_smoothing: decay of the generator's running average Gs, per D update.
        D_repeats: D updates per G update.
        minibatch_repeats: G updates between two evaluations of the schedule.
        reset_opt_for_new_lod: reset the optimizers' moments whenever layers are added or removed.
        total_kimg: length of the run in thousands of real images shown.
        mirror_augment: mirror each real image with probability 1/2.
        drange_net: value range of images inside the networks.
        image_snapshot_ticks, network_snapshot_ticks: ticks between two fakes*.png, and between two
            network-snapshot-*.pkl.
        save_tf_graph, save_weight_histograms: also write them to the TensorBoard file.
        metrics: names of metrics (swd, fid, is, msssim, kid, pr, modes) to compute whenever
            networks are saved. network-best.pkl is the best snapshot by the first of them.
        metric_images: number of real and of generated images that metrics use.
        metrics_against: real images to compare with: the training set, or those that
            dataset.validation holds out.
        nearest_fakes: fakes that the report of a finished run shows next to their nearest training
            images; takes some seconds. 0 = none.
        xla: compile losses, gradients and updates with XLA; meant for GPUs, slower on CPUs.
        checkpoint_minutes: minutes between two checkpoints; one is also written whenever networks
            are saved. 0 = only then.
        dry_step: try a step at the largest resolution before training starts, to check that it fits
            into memory.
        resume_run_id, resume_snapshot: start from the networks of an earlier run: its number, name
            or folder, and the snapshot's kimg ('best' = by the first metric of that run; None =
            latest).
        resume_kimg, resume_time: thousands of images to count as already shown, and seconds to
            count as already spent.
        separate_funcs: update D and G alternately; False updates both at once, from the same
            latents.
        dequantize_reals: add uniform noise in [-0.5, 0.5] to the pixel values of the reals.
        augment: for small data sets, randomly augment all images that D sees: 'diffaugment', or
            'ada', whose probability rises as D overfits and which needs dataset.validation.
        augment_target: target of the overfitting signal, at which 'ada' keeps its probability:
            0 = D scores held-out images like training images, 1 = like fakes.
        augment_kimg: thousands of images in which the probability of 'ada' can rise from 0 to 1.
        init_from: start from the networks of a snapshot (a .pkl, or a run's number, name or folder)
            that may be for other images, labels or options; layers that fit are copied, and growth
            continues from the snapshot's resolution.
        freeze_D: with init_from, number of resolutions whose layers of D are not trained, each with
            its FromRGB, counted from the snapshot's resolution down.
        config: the other values of the configuration, as attributes: G, D, G_opt, D_opt, G_loss,
            D_loss, sched, grid, dataset, num_gpus, random_seed, data_dir, result_dir, desc.
        resume: a `misc.RunToResume`: continue in its folder from its latest checkpoint, as if it
            had not been interrupted.
        dry_run: only check everything, print the schedule with the time it will take, and leave no
            files behind.

    If TF_CONFIG names several machines, each of them runs this function, and they train together;
    see docs/distributed.md.

    Returns:
        Path of the result folder; None on workers other than the chief, and for a dry run.

    Raises:
        UserError: the configuration, the data set or the file system prevents training; the message
            states the reason.
        Stopped: a signal requested a stop; the state of the run has been saved.
    """
    options = types.SimpleNamespace(**locals())
    del options.config, options.resume, options.dry_run
    if resume is not None:
        resuming.check_changes(resume, settings.values(config))
    with contextlib.ExitStack() as stack:
        parts = threads.configure_threads(config, options)
        # May wait for other machines; there is nothing to save yet.
        devices = make_devices(config.num_gpus)
        stop = stack.enter_context(graceful_stop(STOPPING, early_note=STOPPING_EARLY))
        stack.enter_context(_ignoring_lost_peers_after_stop(devices, stop))
        if resume is not None and devices.is_chief:
            if resume.path is None:
                resume = resuming.find_run(resume.wanted, config.result_dir)
            stack.enter_context(resuming.only_process(resume.path))
        run = TrainingRun(options, config, devices, stop, resume=resume, parts=parts)
        if dry_run:
            run.dry_run()
            return None
        with run.recording_its_end():
            path = run.open_folder(resume, stack)
            run.train()
        if path is not None:
            print(next_steps(path))
    return path


@contextlib.contextmanager
def _ignoring_lost_peers_after_stop(devices: Devices, stop: StopRequest) -> Iterator[None]:
    """Turn the loss of peers into an orderly stop if this process was asked to stop.

    A worker asked to stop keeps training until the chief stops. Losing its peers at that point is
    expected.
    """
    try:
        with devices.explaining_lost_peers():
            yield
    except ClusterError:
        if stop:
            stop.raise_stopped()
        raise


class TrainingRun:
    """A training run from setup to the end.

    Args:
        options: the arguments of `train_progressive_gan`, as attributes.
        config: the rest of the configuration.
        devices: the devices to train on.
        stop: checked after each step.
        resume: the run to continue, or None for a new run.
        parts: number of parts in which networks evaluate a minibatch; see
            `threads.configure_threads`.
    """

    def __init__(self, options: types.SimpleNamespace, config: types.ModuleType, devices: Devices,
                 stop: StopRequest, *, resume: resuming.RunToResume | None = None, parts: int = 1):
        self.options = options
        self.config = config
        self.devices = devices
        self.stop = stop
        self.setup_start = time.time()
        summary.flush()  # discard statistics from earlier work of this process
        self.cur_nimg = int(options.resume_kimg * 1000)  # images shown so far
        # A round is the steps between two evaluations of the schedule. A run may be stopped within
        # a round.
        self.round_nimg = self.cur_nimg
        self.steps_in_round = 0
        self.previous_lod: float | None = None
        self.training_set = load_training_set(config)
        self.held_out = load_held_out(config)
        settings.check_minibatches(config, self.training_set.resolution)
        donor, start = _beginning(options, config, resume, devices, self.training_set.resolution)
        self.schedule: Callable[[int], TrainingSchedule] = functools.partial(
            TrainingSchedule, training_set=self.training_set, num_gpus=config.num_gpus,
            total_kimg=options.total_kimg, start_lod=start.lod, **config.sched)
        self.metrics = SnapshotMetrics(options.metrics, options.metric_images, config,
                                       options.mirror_augment, options.metrics_against)
        with devices.strategy.scope():
            snapshot = _snapshot_to_start_from(options, resume)
            self.networks = make_networks(config, self.training_set, *snapshot)
            if donor is not None:
                start = transfer.begin(donor, self.networks, self.training_set.resolution,
                                       options.freeze_D)
            self.start = start
            print('Building TensorFlow graph...')
            optimizers = [Optimizer('TrainG', **config.G_opt), Optimizer('TrainD', **config.D_opt)]
            losses = [loss_function(config.G_loss), loss_function(config.D_loss)]
            updates = dataclasses.replace(
                update_options(options, config.random_seed, parts),
                frozen=transfer.frozen_variables(self.networks[1], start, options.freeze_D))
            self.steps = TrainingSteps(self.networks, optimizers, losses, self.training_set,
                                       updates, devices, self.cur_nimg, self.held_out)
        tf.random.set_global_generator(tf.random.Generator.from_seed(config.random_seed))
        self.watch = HealthWatch(optimizers)
        self.runs_index = RunsIndex(config.result_dir)
        # Set later by `check`, `open_folder` and `restore`.
        self.path: str | None = None
        self.is_open = False  # whether this process has changed the folder
        self.grid: ImageSnapshots | None = None
        self.timetable: Timetable
        self.checkpoints: Checkpoints
        self.folder: RunFolder | NoFolder
        self.progress: Progress
        self.last_save: float

    # ------------------------------------------------------------ before the first step

    def dry_run(self) -> None:
        """Run all checks, and print the schedule with the time that each part will take."""
        run_phases = self.check()
        for trial in preflight.try_all_steps(self.steps, run_phases):
            self.timetable.add_trial(*trial)
        self.timetable.pay_for_trials()
        if self.devices.is_chief and run_phases:
            self._try_saving()
        self._print_overview()
        print('Everything fits. Nothing was trained, nothing was written.')

    def measure(self, seconds: float, resolutions: Sequence[int] | None = None) -> float:
        """Measure the speed of each stage of the run, for the timetable.

        Args:
            seconds: measuring time per stage.
            resolutions: measure only these, and only after fading in; None = all stages, and
                saving.

        Returns:
            Seconds taken by saving the first pictures and a checkpoint.
        """
        run_phases = self.check()
        if resolutions is not None:
            run_phases = [phase for phase in run_phases
                          if phase.last.resolution in resolutions and not phase.is_fading]
        for trial in preflight.time_stages(self.steps, run_phases, seconds):
            self.timetable.add_trial(*trial)
        start = time.perf_counter()
        if resolutions is None:
            self._try_saving()
        return time.perf_counter() - start

    def _try_saving(self):
        """Measure the time for saving pictures and checkpoints, in a temporary folder."""
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as path:
            self.steps.set_lod(self.schedule(self.cur_nimg).lod)
            grid = ImageSnapshots(self.networks[2], self.training_set, self.options.drange_net,
                                  **self.config.grid)
            folder = self._run_folder(path, grid)
            self._begin(folder)
            folder.writer.close()
            checkpoints = Checkpoints(path, self.devices, self.networks,
                                      (self.steps.G_opt, self.steps.D_opt))
            start = time.perf_counter()
            checkpoints.save({})
            self.timetable.add_saving(networks=SNAPSHOT * (time.perf_counter() - start))

    def _print_overview(self):
        """Print a summary of the rest of the run and the time that it will take."""
        kimg = self.cur_nimg / 1000
        self.timetable.run_phases = self._phases()
        full_kimg = phases.full_resolution_kimg(self.config.sched,
                                                self.training_set.resolution_log2, self.start.lod)
        run_phases, expected = self.timetable.run_phases, self.timetable.expected(kimg)
        notes = advice.advice(self, run_phases, expected) if run_phases else []
        overview.print_overview(self, run_phases, expected, full_kimg, notes)

    def _phases(self):
        return phases.list_phases(self.schedule, self.config.sched, self.cur_nimg / 1000,
                                  self.options.total_kimg)

    def check(self) -> list[phases.Phase]:
        """Check that the run fits on the disk and into memory.

        Returns:
            The remaining phases of the schedule.
        """
        options = self.options
        run_phases = self._phases()
        grid = with_defaults(setup_snapshot_image_grid, self.config.grid)
        preflight.check_memory(run_phases, self.training_set.shape[0])
        if run_phases and self.devices.is_chief:
            needed = preflight.disk_space_needed(
                run_phases, self.networks, grid['size'],
                image_snapshot_ticks=options.image_snapshot_ticks,
                network_snapshot_ticks=options.network_snapshot_ticks,
                save_weight_histograms=options.save_weight_histograms,
                save_tf_graph=options.save_tf_graph)
            preflight.check_disk_space(self.config.result_dir, needed)
        G, D, _ = self.networks
        self.timetable = Timetable(
            run_phases, lambda resolution: image_cost(G, D, options.D_repeats, resolution),
            options.image_snapshot_ticks, options.network_snapshot_ticks)
        if settings.measured(self.config):
            self.timetable.restore(settings.measured(self.config))
        if run_phases and options.dry_step:
            for trial in preflight.try_largest_step(self.steps, run_phases):
                self.timetable.add_trial(*trial, is_kept=True)
        return run_phases

    def open_folder(self, resume: resuming.RunToResume | None = None,
                    stack: contextlib.ExitStack | None = None) -> str | None:
        """Create the result folder, or reopen that of a `RunToResume`.

        Args:
            resume: the run to continue; the caller holds its lock.
            stack: takes the lock of a new folder.

        Returns:
            Path of the folder; None on workers other than the chief.
        """
        self.check()
        self.steps.set_lod(self.schedule(self.cur_nimg).lod)
        if self.devices.is_chief:
            print('Setting up snapshot image grid...')
            self.grid = ImageSnapshots(self.networks[2], self.training_set, self.options.drange_net,
                                       **self.config.grid)
            self.stop.wait_from_here()
            print('Setting up result dir...')
            values = settings.values(self.config)
            if resume:
                self.path = resume.path
            else:
                self.path = misc.create_result_subdir(self.config.result_dir, self.config.desc,
                                                      values)
        self.stop.wait_from_here()  # on workers without a folder, too
        self.checkpoints = Checkpoints(self.path, self.devices, self.networks,
                                       (self.steps.G_opt, self.steps.D_opt))
        state = self.checkpoints.restore() if resume else None
        if resume and state is not None:
            resuming.check_something_is_left(resume, state['loop']['cur_nimg'] / 1000,
                                             self.options.total_kimg)
            self.restore(state)
        if resume and self.path is not None:
            self._reopen_files({} if state is None else state['files'])
        if self.path is not None:
            config_files, assignments = settings.command_line(self.config)
            resuming.write_run(self.path, config_files, assignments, settings.values(self.config),
                               settings.used_lines(self.config), self.start._asdict())
            if resume is None and stack is not None:
                stack.enter_context(resuming.only_process(self.path))
            self._record(run_status.RUNNING)
            self.is_open = True
            misc.write_environment(self.path, random_seed=self.config.random_seed,
                                   replicas=self.devices.num_replicas,
                                   machines=self.devices.workers,
                                   minibatch_parts=self.steps.options.parts,
                                   began_at_nimg=self.cur_nimg)
        if (state is None and self.options.resume_run_id is None
                and transfer.needs_reals(self.networks[1], self.start)):
            initialize_from_reals(self.networks[1], self.training_set,
                                  self.schedule(self.cur_nimg).lod, self.options.drange_net)
        self._make_folder(is_new=state is None)
        start = time.perf_counter()
        self.save()
        self.timetable.add_saving(networks=SNAPSHOT * (time.perf_counter() - start))
        if self.path is not None:
            if state is not None:  # `_begin` has written the report of a new run
                self._report().refresh()
            self.runs_index.refresh(self.path)
        return self.path

    def _make_folder(self, is_new):
        """Create the writer of the folder; for a new run, save the first pictures and start the
        tick counter.
        """
        if self.path is None:
            self.folder = NoFolder(self.devices)
        else:
            self.folder = self._run_folder(self.path, self.grid)
        if is_new:
            self._begin(self.folder)
            # The grids have moved it. A run that starts at resume_kimg continues from there.
            self.training_set.position = self.cur_nimg
            self.progress = self._make_progress(time.time() - self.setup_start)

    def _run_folder(self, path, grid):
        options = self.options
        return RunFolder(path, self.networks, grid, self.metrics,
                         image_snapshot_ticks=options.image_snapshot_ticks,
                         network_snapshot_ticks=options.network_snapshot_ticks,
                         save_weight_histograms=options.save_weight_histograms,
                         judge=self.metrics.judge)

    def _begin(self, folder):
        """Save the first pictures of a new run, and record the time that this takes."""
        minibatch = self.schedule(self.cur_nimg).minibatch
        picture, first = folder.begin(self.cur_nimg, minibatch, settings.plain_options(self.config))
        self.timetable.add_saving(pictures=picture, new_stage=first)

    def _make_progress(self, setup_time):
        return Progress(self.options.total_kimg, cur_nimg=self.cur_nimg, setup_time=setup_time,
                        resume_time=self.options.resume_time, shown=self.devices.is_chief,
                        timetable=self.timetable)

    def _reopen_files(self, sizes):
        """Truncate log and curves to the checkpoint, see `resuming.cut_appended`.

        This is the first change to the folder of a resumed run.
        """
        resuming.cut_appended(self.path, sizes)
        misc.write_config(self.path, settings.values(self.config))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, run_files.DONE_MARK))
        place = f'at kimg {self.cur_nimg / 1000:.1f}' if sizes else 'from its beginning'
        print(f'Resuming {self.path} {place}')
        if logs.output_logging_active():
            misc.set_output_log_file(os.path.join(self.path, 'log.txt'), 'a')

    # ------------------------------------------------------------ status of the run

    @contextlib.contextmanager
    def recording_its_end(self) -> Iterator[None]:
        """Record in the run's folder, for its report, the exception that ended the block, if any.
        """
        try:
            yield
        except BaseException as error:
            if self.is_open and self.path is not None:
                with contextlib.suppress(UserError):  # must not hide the original error
                    self._record(*run_status.end_of(error))
                self._report().refresh()
                self.runs_index.refresh(self.path)
            raise

    def _report(self):
        folder = vars(self).get('folder')
        return folder.report if isinstance(folder, RunFolder) else Report(self.path)

    def _record(self, state, reason=''):
        if self.path is not None:
            kimg = self.cur_nimg / 1000
            run_status.write_status(self.path, state, kimg, self.options.total_kimg, reason,
                                    self.timetable.left(kimg)[1])

    # ------------------------------------------------------------ the loop

    def train(self) -> None:
        """Train to the end of the schedule and save the results."""
        self._print_overview()
        print('Training...')
        with contextlib.closing(self.steps.minibatches), contextlib.closing(self.progress):
            while self.round_nimg < self.options.total_kimg * 1000:
                sched = self.schedule(self.round_nimg)
                is_new_lod = crosses_layers(self.previous_lod, sched.lod)
                if self.options.reset_opt_for_new_lod and is_new_lod:
                    self.steps.reset_optimizers()
                self.previous_lod = sched.lod
                self._round(sched)
                self.progress.update_bar(self.cur_nimg, sched)
                done = self.cur_nimg >= self.options.total_kimg * 1000
                if self.progress.tick_is_over(self.cur_nimg, sched, done):
                    self._tick(sched, done)
        self._record(run_status.FINISHED)  # takes effect with the mark that `finish` writes
        self.folder.finish(self.cur_nimg, self.options.nearest_fakes, self.options.mirror_augment)
        if self.path is not None:
            self.runs_index.refresh(self.path)
        self.devices.wait_for_all()

    def _round(self, sched: TrainingSchedule) -> None:
        """Make the steps between two evaluations of the schedule, or the rest of them."""
        steps_per_round = self.options.minibatch_repeats * len(self.steps.step_kinds)
        for number in range(self.steps_in_round, steps_per_round):
            with preflight.explaining_memory_shortage(sched):
                self.cur_nimg += self.steps.run(sched, number)
            self.steps_in_round += 1
            self._save_if_due()
        self.round_nimg = self.cur_nimg
        self.steps_in_round = 0

    def _tick(self, sched: TrainingSchedule, done: bool) -> None:
        with preflight.explaining_memory_shortage(sched):
            summary.resolve_deferred()  # wait until the devices have finished the counted steps
        if not done:
            self.steps.minibatches.wait()  # the code below may draw random numbers
        self.progress.tick(self.cur_nimg, sched, self._augment_note())
        self.watch.tick(self.progress.cur_tick)
        with contextlib.suppress(UserError):  # if the disk is full, saving a snapshot reports it
            self._record(run_status.RUNNING)
        wants_graph = self.options.save_tf_graph and self.progress.cur_tick == 1
        graph_def = self.steps.graph_def() if wants_graph else None
        saved = self.folder.tick(self.progress.cur_tick, self.cur_nimg, sched.minibatch, done,
                                 graph_def)
        if self.path is not None:
            self.runs_index.tick(self.path)
        self.progress.end_maintenance()
        if saved:
            self.save()
            self.progress.end_maintenance()
        self.timetable.add_maintenance(self.progress.cur_tick, self.progress.maintenance_time)

    def _augment_note(self):
        """The tick line's note on adaptive augmentation, or ''."""
        if self.options.augment != 'ada':
            return ''
        return f'augment {self.steps.overfitting.state()[0]:.3f}'

    # ------------------------------------------------------------ checkpoints

    def _save_if_due(self):
        """After a step, save if the last checkpoint is old enough or a stop is requested."""
        minutes = self.options.checkpoint_minutes
        if self.stop and self.devices.is_chief:
            self.save()
            self.stop.raise_stopped(self.path and run_files.resume_command(self.path) or '')
        if minutes and time.monotonic() - self.last_save >= 60 * minutes:
            self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        if self.path is not None:
            self.folder.flush()
            self.checkpoints.save(self.state())
        self.last_save = time.monotonic()

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, except for variables, as plain values."""
        self.steps.minibatches.wait(1.0)  # restores the random state if prefetching changed it
        return dict(
            loop=dict(cur_nimg=self.cur_nimg, round_nimg=self.round_nimg,
                      steps_in_round=self.steps_in_round, previous_lod=self.previous_lod),
            steps=self.steps.state(),
            data=self.steps.minibatches.state(),
            summary=summary.state(),
            watch=self.watch.state(),
            progress=self.progress.state(),
            random=random_state(),
            grid=self.grid.state() if self.grid is not None else None,
            files={} if self.path is None else resuming.appended_sizes(self.path))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the run to the given state."""
        vars(self).update(state['loop'])
        self.steps.restore(state['steps'])
        self.steps.minibatches.restore(state['data'])
        summary.restore(state['summary'])
        self.watch.restore(state['watch'])
        self.progress = self._make_progress(0.0)
        self.progress.restore(state['progress'], self.cur_nimg)
        restore_random_state(state['random'])
        if self.grid is not None:
            self.grid.restore(state['grid'])


def _snapshot_to_start_from(
        options: types.SimpleNamespace,
        resume: resuming.RunToResume | None) -> tuple[int | str | None, int | str | None]:
    """(run, snapshot) whose networks a run starts from; (None, None) = new networks.

    A resumed run takes its weights from its checkpoint. If it started from the networks of another
    run, their architecture comes from its own snapshots if there are any, because the other run may
    have been deleted.
    """
    if options.resume_run_id is not None and resume is not None and resume.path is not None:
        own = misc.list_network_pkls(resume.path)
        if own:
            return own[-1], None
    return options.resume_run_id, options.resume_snapshot


def _beginning(options: types.SimpleNamespace, config: types.ModuleType,
               resume: resuming.RunToResume | None, devices: Devices,
               resolution: int) -> tuple[transfer.Donor | None, transfer.Start]:
    """(snapshot to copy layers from or None, the `transfer.Start`) of a run."""
    start = transfer.kept_start(options, resume, devices)
    if start is not None:
        return None, start
    donor = transfer.read_donor(options.init_from, config)
    return donor, donor.start(resolution)


def update_options(options: types.SimpleNamespace, random_seed: int, parts: int) -> UpdateOptions:
    """The `UpdateOptions` given by the arguments of `train_progressive_gan`."""
    if not options.separate_funcs and options.D_repeats != 1:
        raise ConfigError('train.separate_funcs = False updates D and G together, so '
                          f'train.D_repeats must be 1. Received: {options.D_repeats}.')
    return UpdateOptions(G_smoothing=options.G_smoothing, drange_net=tuple(options.drange_net),
                         mirror_augment=options.mirror_augment,
                         dequantize_reals=options.dequantize_reals, random_seed=random_seed,
                         D_repeats=options.D_repeats, joint=not options.separate_funcs,
                         xla=options.xla, fuse=fusion_works(), parts=parts,
                         augment=options.augment, augment_target=options.augment_target,
                         augment_kimg=options.augment_kimg)


def crosses_layers(previous_lod: float | None, lod: float) -> bool:
    """Whether layers are added or removed between two lods, i.e. floor or ceil differs. True at the
    start.
    """
    if previous_lod is None:
        return True
    return math.floor(lod) != math.floor(previous_lod) or math.ceil(lod) != math.ceil(previous_lod)
