"""Seconds per thousand images and peak memory of one training stage, without data files.

    python -m benchmarks.training_step -h

Prints one JSON line. Run it once per measurement, because peak memory is measured per process.
"""
import contextlib
import json
import math
import os
import statistics
import sys
import time
import types

from benchmarks.common import Parser, load, peak_mb, significant, take_turns, timed
from benchmarks.flops import step_flops

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.training_step', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, default=32,
                        help='full resolution of the networks, pixels')
    parser.add_argument('--lod', type=float, default=0.0,
                        help='level of detail to measure at; fractions '
                        'fade')
    parser.add_argument('--channels', type=int, default=3)
    parser.add_argument('--labels', type=int, default=0)
    parser.add_argument('--fmap_base', type=int, default=256)
    parser.add_argument('--fmap_max', type=int, default=64)
    parser.add_argument('--minibatch', type=int, default=64)
    parser.add_argument('--dtype', default='float32')
    parser.add_argument('--seconds', type=float, default=10.0,
                        help='how long to measure, after compilation '
                        'and one warm-up round')
    parser.add_argument('--ceiling', action='store_true',
                        help='alternately measure a 3x3 convolution of the same precision, and '
                             'report the share of its speed that the steps reach')
    return parser.parse_args(argv)


def make_steps(args, num_gpus=1, **more):
    """The training steps of `train.py` on black images.

    For several devices, call `init_tf(num_gpus=...)` first. `more` is passed to `steps_of`.
    """
    import dataset
    from pgan.training import threads
    from tfutil.devices import make_devices
    options = dict(num_channels=args.channels, resolution=args.resolution, label_size=args.labels,
                   fmap_base=args.fmap_base, fmap_max=args.fmap_max, dtype=args.dtype)
    parts = threads.configure_threads(
        types.SimpleNamespace(tf_config={}, num_gpus=num_gpus,
                              sched=dict(minibatch_base=args.minibatch),
                              G=dict(options,
                                     func='networks.G_paper'), D=dict(options,
                                                                      func='networks.D_paper')),
        types.SimpleNamespace(xla=False, metrics=[], resume_run_id=None))
    devices = make_devices(num_gpus)
    training_set = dataset.SyntheticDataset(args.resolution, args.channels, label_size=args.labels)
    training_set.configure(args.minibatch, args.lod)
    return steps_of(training_set, options, options, devices, parts=parts, **more)


def steps_of(training_set, G_options, D_options, devices=None, use_loss_scaling=False,
             held_out=None, **options):
    """Training steps of the paper's networks, losses and optimizers.

    Args:
        training_set: a data set of `dataset`.
        G_options, D_options: of `networks.G_paper` and `networks.D_paper`.
        devices: `tfutil.devices.Devices`; None = one device.
        use_loss_scaling: of both optimizers.
        held_out: a data set of held-out images, or None.
        options: of `pgan.training.updates.UpdateOptions`.
    """
    from loss import D_wgangp_acgan, G_wgan_acgan
    from pgan.training.step import TrainingSteps, UpdateOptions
    from tfutil import Network, Optimizer
    from tfutil.devices import make_devices
    devices = devices or make_devices()
    adam = dict(beta1=0.0, beta2=0.99, epsilon=1e-8, use_loss_scaling=use_loss_scaling)
    with devices.strategy.scope():
        G = Network('G', 'networks.G_paper', **G_options)
        D = Network('D', 'networks.D_paper', **D_options)
        optimizers = [Optimizer('TrainG', **adam), Optimizer('TrainD', **adam)]
        return TrainingSteps([G, D, G.clone('Gs')], optimizers, [G_wgan_acgan, D_wgangp_acgan],
                             training_set, UpdateOptions(random_seed=1, **options), devices,
                             held_out=held_out)


def moment_of(args):
    """The moment of a schedule, for `TrainingSteps.run`, at the options' stage."""
    return types.SimpleNamespace(lod=args.lod, minibatch=args.minibatch, D_lrate=0.001,
                                 G_lrate=0.001)


def make_round(args, steps):
    """Function that makes one D and one G update at the options' stage and waits for the end."""
    from tfutil import summary
    moment = moment_of(args)

    def one_round():
        steps.run(moment)
        summary.resolve_deferred()
    return one_round


def flops_per_image(args):
    """`flops.step_flops` of the options' stage."""
    return step_flops(args.resolution >> math.floor(args.lod), args.fmap_base, args.fmap_max,
                      args.channels, args.labels, fading=args.lod % 1 > 0)


def measure(args):
    """Run rounds of one D and one G update for the given time and return the result."""
    from tfutil import init_tf
    init_tf(random_seed=1)
    one_round = make_round(args, make_steps(args))
    start = time.perf_counter()
    one_round()
    compile_sec = time.perf_counter() - start
    with contextlib.ExitStack() as stack:
        players, rounds = {}, 1
        if args.ceiling:
            from benchmarks.machine import CONVOLUTIONS, convolution_worker
            # a separate process, because thread settings are per process
            worker, probe_flops = convolution_worker(CONVOLUTIONS[0], args.dtype)
            stack.enter_context(worker).answer()
            players['ceiling'] = lambda: worker.ask()['seconds']
            # turns of about equal length
            rounds = max(1, math.ceil(players['ceiling']() / timed(one_round)))
        players['step'] = lambda: timed(lambda: [one_round() for _ in range(rounds)])
        seconds = take_turns(players, 3, args.seconds)
    sec_per_kimg = [turn / (rounds * args.minibatch) * 1000 for turn in seconds['step']]
    flops = flops_per_image(args)
    found = dict(
        sec_per_kimg=significant(statistics.median(sec_per_kimg)),
        fastest_sec_per_kimg=significant(min(sec_per_kimg)), compile_sec=round(compile_sec, 1),
        peak_mb=peak_mb(), rounds=rounds * len(sec_per_kimg),
        gflop_per_kimg=significant(flops['total'] / 1e6), by_pass={
            name: significant(flops[name] / 1e6)
            for name in ('forward', 'backward', 'second_order')
        }, optimizer={
            name: significant(flops[name] / 1e6 / args.minibatch)
            for name in ('optimizer', 'optimizer_bytes')
        }, gflops=significant(flops['total'] / 1e6 / statistics.median(sec_per_kimg)), load=load())
    if args.ceiling:
        ceilings = [probe_flops / turn / 1e9 for turn in seconds['ceiling']]
        shares = [
            flops['total'] / 1e6 / step / ceiling for step, ceiling in zip(sec_per_kimg, ceilings)
        ]
        found.update(ceiling_gflops=significant(statistics.median(ceilings)),
                     share_of_ceiling=significant(statistics.median(shares), 3))
    return dict(vars(args), **found)


if __name__ == '__main__':
    print(json.dumps(measure(parse_args())))
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's teardown takes longer than a short measurement
