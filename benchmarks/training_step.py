"""Seconds per thousand images and peak memory of one training stage, without data files: python -m benchmarks.training_step -h

Prints one JSON line. Run it once per measurement: peak memory is the process's.
"""
import argparse
import json
import os
import resource
import sys
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(prog='python -m benchmarks.training_step', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, default=32, help='full resolution of the networks, pixels')
    parser.add_argument('--lod', type=float, default=0.0, help='level of detail to measure at; a fraction is fading')
    parser.add_argument('--channels', type=int, default=3)
    parser.add_argument('--labels', type=int, default=0)
    parser.add_argument('--fmap_base', type=int, default=256)
    parser.add_argument('--fmap_max', type=int, default=64)
    parser.add_argument('--minibatch', type=int, default=64)
    parser.add_argument('--dtype', default='float32')
    parser.add_argument('--seconds', type=float, default=10.0, help='how long to measure, after compilation and one warm-up round')
    return parser.parse_args(argv)


def make_steps(args, devices=None):
    """The training steps of `train.py` on black images; on one device, or on `tfutil.devices.Devices`."""
    import dataset
    from loss import D_wgangp_acgan, G_wgan_acgan
    from tfutil import Network, Optimizer
    from tfutil.devices import make_devices
    from training.step import TrainingSteps
    devices = devices or make_devices()
    training_set = dataset.SyntheticDataset(args.resolution, args.channels, label_size=args.labels)
    training_set.configure(args.minibatch, args.lod)
    options = dict(num_channels=args.channels, resolution=args.resolution, label_size=args.labels, fmap_base=args.fmap_base,
                   fmap_max=args.fmap_max, dtype=args.dtype)
    adam = dict(beta1=0.0, beta2=0.99, epsilon=1e-8)
    with devices.strategy.scope():
        G, D = Network('G', 'networks.G_paper', **options), Network('D', 'networks.D_paper', **options)
        return TrainingSteps(G, D, G.clone('Gs'), Optimizer('TrainG', **adam), Optimizer('TrainD', **adam), G_wgan_acgan, D_wgangp_acgan,
                             training_set, G_smoothing=0.999, drange_net=[-1, 1], mirror_augment=False, random_seed=1, devices=devices)


def measure(args):
    """Run rounds of one D and one G update for the given time; return what was measured."""
    from tfutil import init_tf
    init_tf(random_seed=1)
    steps = make_steps(args)
    steps.set_lod(args.lod)

    def one_round():
        steps.train_D(args.lod, args.minibatch, 0.001)
        steps.train_G(args.lod, args.minibatch, 0.001)
    start = time.perf_counter()
    one_round()
    compile_sec = time.perf_counter() - start
    one_round()
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds or rounds < 3:
        one_round()
        rounds += 1
    sec_per_kimg = (time.perf_counter() - start) / (rounds * args.minibatch) * 1000
    return dict(vars(args), sec_per_kimg=round(sec_per_kimg, 3), compile_sec=round(compile_sec, 1),
                peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, rounds=rounds)


if __name__ == '__main__':
    print(json.dumps(measure(parse_args())))
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's teardown takes longer than a short measurement
