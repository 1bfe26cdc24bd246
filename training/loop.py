"""The training loop: `train_progressive_gan` is what `python train.py` runs by default."""
import contextlib
import functools
import inspect
import math
import time

import dataset
import misc
import settings
import tfutil
from errors import ConfigError, DataError
from tfutil import Network, Optimizer
from tfutil.devices import make_devices
from training.joint import JointTrainingSteps
from training.metrics import SnapshotMetrics
from training.progress import Progress, UpdateWatch
from training.reals import initialize_from_reals
from training.schedule import TrainingSchedule
from training.snapshots import ImageSnapshots, NoFolder, RunFolder
from training.step import TrainingSteps


def train_progressive_gan(
        G_smoothing=0.999, D_repeats=1, minibatch_repeats=4, reset_opt_for_new_lod=True, total_kimg=15000, mirror_augment=False,
        drange_net=[-1, 1], image_snapshot_ticks=1, network_snapshot_ticks=10, save_tf_graph=False, save_weight_histograms=False,
        metrics=[], metric_images=2048, xla=False, resume_run_id=None, resume_snapshot=None, resume_kimg=0.0, resume_time=0.0,
        separate_funcs=True, dequantize_reals=False, *, config):
    """Train G and D on a data set while they grow, and leave a result folder.

    Args:
        G_smoothing: decay of the generator's running average Gs, per D update.
        D_repeats: D updates per G update.
        minibatch_repeats: G updates between two looks at the schedule.
        reset_opt_for_new_lod: forget the optimizers' moments whenever layers come or go.
        total_kimg: length of the run in thousands of real images shown.
        mirror_augment: mirror each real image with probability 1/2.
        drange_net: value range of images inside the networks.
        image_snapshot_ticks, network_snapshot_ticks: ticks between two fakes*.png, and between two network-snapshot-*.pkl.
        save_tf_graph, save_weight_histograms: also into the TensorBoard file.
        metrics: names of metrics (swd, fid, is, msssim, kid, pr) to measure whenever networks are saved.
        metric_images: real and generated images that they look at.
        xla: compile losses and gradients with XLA; meant for GPUs, on CPUs it is slower.
        resume_run_id, resume_snapshot: start from the networks of an earlier run: its number, name or folder, and the snapshot's kimg
            (None = latest).
        resume_kimg, resume_time: what to count as already shown (thousands of images) and already spent (seconds).
        separate_funcs: update D and G in turns; False updates both at once, from the same latents.
        dequantize_reals: add uniform noise in [-0.5, 0.5] to the values of the reals' pixels.
        config: the configuration's other values, as attributes: G, D, G_opt, D_opt, G_loss, D_loss, sched, grid, dataset, num_gpus,
            random_seed, data_dir, result_dir, desc.

    Where TF_CONFIG names several machines, each runs this, and they train together; see docs/distributed.md.

    Returns:
        The result folder's path; None on a machine that is not the chief.

    Raises:
        UserError: something in the configuration, the data set or the file system is in the way; the text says what.
    """
    setup_start, cur_nimg = time.time(), int(resume_kimg * 1000)
    devices = make_devices(config.num_gpus)
    training_set = load_training_set(config)
    settings.check_minibatches(config, training_set.resolution)
    schedule = functools.partial(TrainingSchedule, training_set=training_set, num_gpus=config.num_gpus, total_kimg=total_kimg,
                                 **config.sched)
    sched = schedule(cur_nimg)
    snapshot_metrics = SnapshotMetrics(metrics, metric_images, config, mirror_augment)

    with devices.watching_machines():
        with devices.strategy.scope():
            G, D, Gs = make_networks(config, training_set, resume_run_id, resume_snapshot)
            print('Building TensorFlow graph...')
            steps = steps_class(separate_funcs, D_repeats)(
                G, D, Gs, Optimizer('TrainG', **config.G_opt), Optimizer('TrainD', **config.D_opt), loss_function(config.G_loss),
                loss_function(config.D_loss), training_set, G_smoothing, drange_net, mirror_augment, config.random_seed, cur_nimg,
                devices, xla, dequantize_reals)
        steps.set_lod(sched.lod)
        if resume_run_id is None:
            initialize_from_reals(D, training_set, sched.lod, drange_net)
        if devices.is_chief:
            folder = make_folder(config, training_set, (G, D, Gs), drange_net, image_snapshot_ticks, network_snapshot_ticks,
                                 save_weight_histograms, snapshot_metrics)
        else:
            folder = NoFolder(devices)
        folder.begin(cur_nimg, sched.minibatch)

        print('Training...')
        training_set.position = cur_nimg  # whatever the grids have read, and on from there in a run that goes on
        watch = UpdateWatch((steps.G_opt, steps.D_opt))
        previous_lod = None
        with contextlib.closing(Progress(total_kimg, cur_nimg, resume_time, time.time() - setup_start, shown=devices.is_chief)) as progress:
            while cur_nimg < total_kimg * 1000:
                sched = schedule(cur_nimg)
                if reset_opt_for_new_lod and crosses_layers(previous_lod, sched.lod):
                    steps.reset_optimizers()
                previous_lod = sched.lod

                cur_nimg += train_round(steps, training_set, sched, minibatch_repeats, D_repeats)
                progress.show(cur_nimg, sched)

                done = cur_nimg >= total_kimg * 1000
                if progress.tick_is_over(cur_nimg, sched, done):
                    progress.tick(cur_nimg, sched)
                    watch.tick()
                    graph_def = steps.graph_def() if save_tf_graph and progress.cur_tick == 1 else None
                    folder.tick(progress.cur_tick, cur_nimg, sched.minibatch, done, graph_def)
                    progress.maintenance_is_over()
        folder.finish()
        devices.wait_for_all()
    return folder.path


def make_folder(config, training_set, networks, drange_net, image_snapshot_ticks, network_snapshot_ticks, save_weight_histograms, metrics):
    """The result folder of a run, and what fills it."""
    print('Setting up snapshot image grid...')
    grid = ImageSnapshots(networks[2], training_set, drange_net, **config.grid)
    print('Setting up result dir...')
    path = misc.create_result_subdir(config.result_dir, config.desc, settings.values(config))
    return RunFolder(path, networks, grid, image_snapshot_ticks, network_snapshot_ticks, save_weight_histograms, metrics)


def train_round(steps, training_set, sched, minibatch_repeats, D_repeats):
    """The updates between two looks at the schedule. Returns the number of real images shown."""
    training_set.configure(sched.minibatch, sched.lod)
    steps.set_lod(sched.lod)
    for _ in range(minibatch_repeats):
        if isinstance(steps, JointTrainingSteps):
            steps.train_both(sched.lod, sched.minibatch, sched.D_lrate, sched.G_lrate)
            continue
        for _ in range(D_repeats):
            steps.train_D(sched.lod, sched.minibatch, sched.D_lrate)
        steps.train_G(sched.lod, sched.minibatch, sched.G_lrate)
    return minibatch_repeats * D_repeats * sched.minibatch


def steps_class(separate_funcs, D_repeats):
    """The kind of updates that train.separate_funcs asks for."""
    if not separate_funcs and D_repeats != 1:
        raise ConfigError(f'train.separate_funcs = False updates D and G together, so train.D_repeats must be 1. Received: {D_repeats}.')
    return TrainingSteps if separate_funcs else JointTrainingSteps


def load_training_set(config):
    """The data set of the configuration, shuffled by its random seed."""
    options = dict(config.dataset)
    cls = tfutil.import_obj(options.get('class_name', 'dataset.TFRecordDataset'))
    if 'random_seed' in inspect.signature(cls).parameters:
        options['random_seed'] = config.random_seed
    return dataset.load_dataset(data_dir=config.data_dir, verbose=True, **options)


def make_networks(config, training_set, resume_run_id=None, resume_snapshot=None):
    """New networks for a data set, or those of an earlier run's snapshot, with their layers printed.

    Raises:
        ConfigError: the snapshot's networks are for another image shape or label size.
    """
    if resume_run_id is not None:
        G, D, Gs = load_networks(config, training_set, resume_run_id, resume_snapshot)
    else:
        print('Constructing networks...')
        shape = dict(num_channels=training_set.shape[0], resolution=training_set.shape[1], label_size=training_set.label_size)
        G = Network('G', **shape, **config.G)
        D = Network('D', **shape, **config.D)
        Gs = G.clone('Gs')
    G.print_layers()
    D.print_layers()
    return G, D, Gs


def load_networks(config, training_set, run_id, snapshot):
    """The networks of an earlier run's snapshot, if they fit the data set. See `make_networks`."""
    path = misc.locate_network_pkl(run_id, snapshot, result_dir=config.result_dir)
    print(f'Loading networks from "{path}"...')
    for options in (config.G, config.D):
        tfutil.build_function(tfutil.import_obj(options.func))  # the configuration vouches for the functions that it names itself
    networks = misc.load_pkl(path)
    if not (isinstance(networks, (tuple, list)) and len(networks) == 3 and all(isinstance(net, Network) for net in networks)):
        raise DataError(f'{path!r} does not hold the three networks G, D, Gs of a training run. Name a run, or one of its network-*.pkl.')
    G, D, Gs = networks
    have, want = (D.input_shape[1:], D.output_shapes[1][1]), (list(training_set.shape), training_set.label_size)
    if have != want:
        raise ConfigError(f'the networks of {path!r} are for images of shape {have[0]} and labels of {have[1]} components, the data '
                          f'set has {want[0]} and {want[1]}: choose the one (and dataset.max_label_size) that they were trained on, '
                          'or start without resume_run_id.')
    for name, net in (('G', G), ('D', D)):
        unused = {key: value for key, value in getattr(config, name).items() if key != 'func' and net.static_kwargs.get(key) != value}
        if unused:
            print(f'Note: {name} is as it was in the snapshot; these options of the configuration are not used: {unused}')
    return networks


def loss_function(options):
    """The loss of a config line: its function with the other options filled in."""
    options = dict(options)
    return functools.partial(tfutil.import_obj(options.pop('func')), **options)


def crosses_layers(previous_lod, lod):
    """Whether layers come or go between two lods: floor or ceil differs. True at the start."""
    if previous_lod is None:
        return True
    return math.floor(lod) != math.floor(previous_lod) or math.ceil(lod) != math.ceil(previous_lod)
