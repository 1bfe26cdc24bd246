"""Ceiling of the machine: matrix products, 3x3 convolutions, memory bandwidth.

    python -m benchmarks.machine -h

Prints one JSON line for each measure and precision: the fastest of all shapes and repeats. Training
steps are not compared with these figures, but with the convolution that runs alternately with them
(`training_step --ceiling`).
"""
import json
import os
import time

from benchmarks.common import Parser, Worker, only_results_on_stdout, serve, significant, timed

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
DTYPES = ('float32', 'bfloat16')
CONVOLUTIONS = ((16, 32, 512), (64, 32, 256), (64, 64, 128))  # minibatch, size, feature maps
PRODUCTS = (1024, 2048, 4096)  # size of both matrices
ARRAY_MB = 256


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.machine', description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=5.0, help='for each shape (default: 5)')
    parser.add_argument('--quick', action='store_true', help='only the smallest shape of each')
    parser.add_argument('--work', nargs=4, metavar=('MINIBATCH', 'SIZE', 'FMAPS', 'DTYPE'),
                        help='run a convolution once for each line on stdin, and print the '
                             'seconds it took')
    return parser.parse_args(argv)


def convolution(minibatch, size, fmaps, dtype='float32'):
    """A 3x3 convolution, channels last. Returns (function, FLOPs)."""
    import tensorflow as tf
    x, w = (tf.cast(tf.random.stateless_normal(shape, [1, 2]), dtype)
            for shape in ([minibatch, size, size, fmaps], [3, 3, fmaps, fmaps]))
    return _compiled(
        lambda: tf.nn.conv2d(x, w, 1, 'SAME')), 2 * 9 * fmaps * fmaps * minibatch * size * size


def matrix_product(size, dtype='float32'):
    """A product of two square matrices. Returns (function, FLOPs)."""
    import tensorflow as tf
    a, b = (tf.cast(tf.random.stateless_normal([size, size], [seed, 2]), dtype) for seed in (1, 2))
    return _compiled(lambda: tf.matmul(a, b)), 2 * size ** 3


def _compiled(compute):
    import tensorflow as tf
    function = tf.function(compute, autograph=False)
    # a part of the result; this waits for the whole computation
    return lambda: function()[..., 0].numpy()


def memory_pass(megabytes):
    """Sum of two arrays into a third. Returns (function, bytes that it reads and writes)."""
    import tensorflow as tf
    count = megabytes * 2 ** 18
    a, b = tf.Variable(tf.zeros([count])), tf.Variable(tf.ones([count]))

    @tf.function(autograph=False)
    def add():
        a.assign_add(b)
    return add, 3 * 4 * count


def fastest(function, seconds):
    """Shortest time of one call in seconds, out of all that fit into the time, at least three."""
    function()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        times.append(timed(function))
    return min(times)


def convolution_worker(shape, dtype):
    """A `common.Worker` that runs a convolution in each turn, on all cores.

    Returns (worker, FLOPs of a turn).
    """
    minibatch, size, fmaps = shape
    return Worker(['benchmarks.machine', '--work', *shape,
                   dtype]), 2 * 9 * fmaps * fmaps * minibatch * size * size


def work(minibatch, size, fmaps, dtype):
    """The worker's side."""
    only_results_on_stdout()
    function, _ = convolution(int(minibatch), int(size), int(fmaps), dtype)
    function()
    serve(lambda _: dict(seconds=timed(function)))


def measure(args):
    """Yield results, one for each measure and precision."""
    from tfutil import init_tf
    init_tf(random_seed=1)
    convolutions, products = ((CONVOLUTIONS[1:2], PRODUCTS[:1]) if args.quick else
                              (CONVOLUTIONS, PRODUCTS))
    for dtype in DTYPES:
        for name, make, shapes in (('matrix_product', matrix_product, [
            (size, ) for size in products
        ]), ('convolution', convolution, convolutions)):
            rates = {}
            for shape in shapes:
                function, flops = make(*shape, dtype=dtype)
                rates['x'.join(map(str, shape))] = significant(
                    flops / fastest(function, args.seconds) / 1e9)
            yield dict(measure=name, dtype=dtype, gflops=max(rates.values()), by_shape=rates)
    function, size = memory_pass(ARRAY_MB // (4 if args.quick else 1))
    yield dict(measure='memory',
               gb_per_sec=significant(size / fastest(function, args.seconds) / 1e9))


if __name__ == '__main__':
    arguments = parse_args()
    if arguments.work:
        work(*arguments.work)
    for result in measure(arguments):
        print(json.dumps(result), flush=True)
