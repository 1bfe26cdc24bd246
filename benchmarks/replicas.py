"""Cost of several devices compared with one at the same minibatch, on one CPU.

    python -m benchmarks.replicas -h

One process per number of devices holds the training steps of a stage. The processes run
alternately, so other load on the machine affects all of them. More CPU devices add no speed, only
the cost of dividing the work, the all-reduce, and the update on each device. Prints one JSON line
for each number of devices.
"""
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import time

from benchmarks.common import Parser, take_turns

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.replicas', description=__doc__.split('\n')[0])
    parser.add_argument(
        '--devices', type=int, action='append', help='compare this number with 1; may be '
        'repeated (default: 2 and 4)')
    parser.add_argument('--resolution', type=int, default=32,
                        help='full resolution of the networks, pixels')
    parser.add_argument('--lod', type=float, default=0.0,
                        help='level of detail to measure at; fractions '
                        'fade')
    parser.add_argument('--fmap_base', type=int, default=256)
    parser.add_argument('--fmap_max', type=int, default=64)
    parser.add_argument('--minibatch', type=int, default=64, help='on all devices together')
    parser.add_argument('--rounds', type=int, default=8, help='D and G updates in one turn')
    parser.add_argument('--turns', type=int, default=12)
    args = parser.parse_args(argv)
    args.devices = args.devices or [2, 4]
    return args


def work(args, count, pipe):
    """Build the steps of `count` devices, then run a turn for each message on the pipe.

    Sends the seconds of each turn. Runs in a separate process.
    """
    from benchmarks.training_step import make_round, make_steps
    from tfutil import init_tf
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        init_tf(random_seed=1, num_gpus=count)
        one_round = make_round(args, make_steps(args, count))
    while True:
        start = time.perf_counter()
        for _ in range(args.rounds):
            one_round()
        pipe.send(time.perf_counter() - start)
        pipe.recv()


def measure(args):
    """Seconds of each turn: {number of devices: [args.turns]}."""
    spawn, pipes, workers = multiprocessing.get_context('spawn'), {}, []
    for count in (1, *args.devices):
        pipes[count], end = spawn.Pipe()
        # a daemon ends with this process
        workers.append(spawn.Process(target=work, args=(args, count, end), daemon=True))
        workers[-1].start()
        end.close()
        pipes[count].recv()  # wait until it has compiled
    seconds = take_turns(
        {count: lambda pipe=pipe: pipe.send('go') or pipe.recv()
         for count, pipe in pipes.items()}, args.turns)
    for worker in workers:
        worker.kill()  # TensorFlow's teardown takes longer than a short measurement
    return seconds


def main(args):
    args.channels, args.labels, args.dtype = 3, 0, 'float32'
    seconds = measure(args)
    for count in args.devices:
        ratios = sorted(many / one for one, many in zip(seconds[1], seconds[count]))
        print(
            json.dumps(
                dict(
                    benchmark='replicas', resolution=args.resolution, lod=args.lod,
                    fmap_base=args.fmap_base, fmap_max=args.fmap_max, minibatch=args.minibatch,
                    devices=count, turns=args.turns, rounds=args.rounds,
                    one_device_sec_per_kimg=round(
                        statistics.median(seconds[1]) / (args.rounds * args.minibatch) * 1000,
                        3), time_beside_one_device=round(statistics.median(ratios), 3),
                    lowest=round(ratios[0], 3), highest=round(ratios[-1], 3))))


if __name__ == '__main__':
    main(parse_args())
