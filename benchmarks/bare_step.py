"""This program's training step compared with a plain one: python -m benchmarks.bare_step -h

The two run alternately, each in a separate process. The plain step has the same networks, loss and
optimizer, written as functions of channels-last images and a dict of variables. It has no data set,
fading, labels, statistics or checks of updates. Kernels are scaled again for each evaluation,
layers that scale by 2 have 4x4 kernels, and one call makes both updates. The difference is the
overhead of the full program; where the full program is faster, its optimizations pay off. Prints
one JSON line.
"""
import json
import math
import os
import statistics
import sys

from benchmarks.common import ROOT, Parser, load, pair_ratios, significant, take_turns, timed
from benchmarks.compare import parse_variant, start, step_options
from pgan.nn.specs import Width
from pgan.resolutions import log2_of

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.bare_step', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, default=32, help='of the networks, pixels')
    parser.add_argument('--fmap_base', type=int, default=256)
    parser.add_argument('--fmap_max', type=int, default=64)
    parser.add_argument('--minibatch', type=int, default=64)
    parser.add_argument('--dtype', default='float32')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='how long to measure, after compilation '
                        'and one warm-up turn')
    return parser.parse_args(argv)


class BareNetworks:
    """G and D at their full resolution. Variables are created on first use.

    Args:
        resolution, fmap_base, fmap_max, dtype: as for `networks.G_paper`.
    """

    def __init__(self, resolution, fmap_base, fmap_max, dtype):
        self.top, self.dtype = log2_of(resolution), dtype
        self.fmaps = Width(fmap_base, 1.0, fmap_max)
        self.variables = {}

    def variable(self, name, shape, std=0.0):
        import tensorflow as tf
        if name not in self.variables:
            with tf.init_scope():
                self.variables[name] = tf.Variable(
                    tf.random.normal(shape) if std else tf.zeros(shape))
        value = self.variables[name]
        return tf.cast(value * std if std else value, self.dtype)

    def weight(self, name, shape, inputs, gain):
        return self.variable(name + '/weight', shape, gain / math.sqrt(inputs))

    def conv(self, x, name, fmaps, kernel=3, gain=math.sqrt(2), down=False):
        import tensorflow as tf
        w = self.weight(name, [kernel, kernel, x.shape[-1], fmaps], kernel * kernel * x.shape[-1],
                        gain)
        x = tf.nn.conv2d(x, shifts(w) * 0.25 if down else w, 2 if down else 1, 'SAME')
        return tf.nn.bias_add(x, self.variable(name + '/bias', [fmaps]))

    def up_conv(self, x, name, fmaps):
        import tensorflow as tf
        n, size, _, inputs = x.shape
        w = shifts(self.weight(name, [3, 3, fmaps, inputs], 9 * inputs, math.sqrt(2)))
        x = tf.nn.conv2d_transpose(x, w, [n, 2 * size, 2 * size, fmaps], 2, 'SAME')
        return tf.nn.bias_add(x, self.variable(name + '/bias', [fmaps]))

    def dense(self, x, name, fmaps, gain=math.sqrt(2)):
        import tensorflow as tf
        x = tf.matmul(x, self.weight(name, [x.shape[1], fmaps], x.shape[1], gain))
        return x + self.variable(name + '/bias', [fmaps])

    def G(self, latents):
        """Latents [N, fmaps(0)] to images [N, R, R, 3]."""
        import tensorflow as tf
        x = normalize(tf.cast(latents, self.dtype))
        x = tf.reshape(self.dense(x, 'G/4/Dense', 16 * self.fmaps(1),
                                  math.sqrt(2) / 4), [-1, 4, 4, self.fmaps(1)])
        x = normalize(self.conv(normalize(leaky(x)), 'G/4/Conv', self.fmaps(1)), leaky)
        for r in range(3, self.top + 1):
            x = normalize(self.up_conv(x, f'G/{2 ** r}/Conv0_up', self.fmaps(r - 1)), leaky)
            x = normalize(self.conv(x, f'G/{2 ** r}/Conv1', self.fmaps(r - 1)), leaky)
        return tf.cast(self.conv(x, 'G/ToRGB', 3, kernel=1, gain=1.0), 'float32')

    def D(self, images):
        """Images [N, R, R, 3] to scores [N]."""
        import tensorflow as tf
        x = leaky(
            self.conv(tf.cast(images, self.dtype), 'D/FromRGB', self.fmaps(self.top - 1), kernel=1))
        for r in range(self.top, 2, -1):
            x = leaky(self.conv(x, f'D/{2 ** r}/Conv0', self.fmaps(r - 1)))
            x = leaky(self.conv(x, f'D/{2 ** r}/Conv1_down', self.fmaps(r - 2), down=True))
        groups = tf.cast(tf.reshape(x, [4, -1, *x.shape[1:]]), 'float32')
        spread = tf.reduce_mean(tf.sqrt(tf.math.reduce_variance(groups, axis=0) + 1e-8),
                                axis=[1, 2, 3], keepdims=True)
        x = tf.concat([x, tf.tile(tf.cast(spread, self.dtype), [4, 4, 4, 1])], axis=-1)
        x = tf.reshape(leaky(self.conv(x, 'D/4/Conv', self.fmaps(1))), [-1, 16 * self.fmaps(1)])
        x = self.dense(leaky(self.dense(x, 'D/4/Dense0', self.fmaps(0))), 'D/4/Dense1', 1, gain=1.0)
        return tf.cast(x[:, 0], 'float32')


def shifts(w):
    """Sum of a 3x3 kernel's four one-pixel shifts: a 4x4 kernel."""
    import tensorflow as tf
    w = tf.pad(w, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return w[1:, 1:] + w[:-1, 1:] + w[1:, :-1] + w[:-1, :-1]


def leaky(x):
    """This program's leaky ReLU.

    TensorFlow's has a second derivative of zeros, which would be back-propagated through D.
    """
    from pgan.nn.operations import leaky_relu
    return leaky_relu(x)


def normalize(x, activation=lambda x: x):
    """Pixel norm of an activation."""
    import tensorflow as tf
    x = activation(x)
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + 1e-8)


def make_bare_step(args):
    """tf.function of one D update, one step of the moving average and one G update.

    It returns both losses.
    """
    import keras
    import tensorflow as tf
    net = BareNetworks(args.resolution, args.fmap_base, args.fmap_max, args.dtype)
    latents = lambda: tf.random.normal([args.minibatch, net.fmaps(0)])
    reals = tf.random.normal([args.minibatch, args.resolution, args.resolution, 3])
    net.D(net.G(latents()))
    G_vars, D_vars = ([var for name, var in net.variables.items() if name.startswith(which)]
                      for which in 'GD')
    averages = [tf.Variable(var) for var in G_vars]
    optimizers = [keras.optimizers.Adam(0.001, beta_1=0.0, beta_2=0.99, epsilon=1e-8) for _ in 'GD']
    for optimizer, variables in zip(optimizers, (G_vars, D_vars)):
        optimizer.build(variables)

    def update_D():
        fakes = net.G(latents())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(D_vars)
            mixed = reals + (fakes - reals) * tf.random.uniform([args.minibatch, 1, 1, 1])
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(mixed)
                score = tf.reduce_sum(net.D(mixed))
            norms = tf.sqrt(tf.reduce_sum(tf.square(inner.gradient(score, mixed)), axis=[1, 2, 3]))
            real_scores = net.D(reals)
            loss = tf.reduce_mean(
                net.D(fakes) - real_scores + 10 * tf.square(norms - 1) +
                0.001 * tf.square(real_scores))
        optimizers[1].apply(tape.gradient(loss, D_vars), D_vars)
        for average, var in zip(averages, G_vars):
            average.assign(var + (average - var) * 0.999)
        return loss

    def update_G():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(G_vars)
            loss = -tf.reduce_mean(net.D(net.G(latents())))
        optimizers[0].apply(tape.gradient(loss, G_vars), G_vars)
        return loss
    return tf.function(lambda: (update_D(), update_G()), autograph=False)


def measure(args):
    """Run both alternately and return the result."""
    from tfutil import init_tf
    init_tf(random_seed=1)
    bare = make_bare_step(args)
    one_round = lambda: [float(loss) for loss in bare()]
    options = {name: value for name, value in vars(args).items() if name != 'seconds'}
    with start(parse_variant(str(ROOT)), dict(step_options(), **options)) as product:
        compile_sec, bare_compile_sec = product.answer()['compile_sec'], timed(one_round)
        rounds = max(1, math.ceil(0.2 / timed(one_round)))
        per_kimg = take_turns(
            {
                'product': lambda: product.ask()['sec_per_kimg'],
                'bare': lambda: timed(lambda: [one_round() for _ in range(rounds)]) /
                (rounds * args.minibatch) * 1000
            }, 4, args.seconds)
    return dict(vars(args), sec_per_kimg=significant(statistics.median(per_kimg['product'])),
                compile_sec=compile_sec,
                bare_sec_per_kimg=significant(statistics.median(per_kimg['bare'])),
                bare_compile_sec=round(bare_compile_sec,
                                       1), beside_bare=pair_ratios(per_kimg['product'],
                                                                   per_kimg['bare']), load=load())


if __name__ == '__main__':
    print(json.dumps(measure(parse_args())))
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's teardown takes longer than a short measurement
