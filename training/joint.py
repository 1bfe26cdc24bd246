"""G and D updated together: what the paper's CIFAR-10 run did (the Theano version's separate_funcs = False)."""
import tensorflow as tf

from tfutil import randomness
from training.step import TrainingSteps, used_trainables


class JointTrainingSteps(TrainingSteps):
    """Steps in which G's and D's gradients come from the same latents and the same networks, before either of them is updated.

    `train_D` is there as well, unused by the loop; there is no update of G alone. The losses must take `latents`, and G's must take
    `labels`, as those in `loss` do.
    """

    def train_both(self, lod, minibatch, D_lrate, G_lrate):
        """One minibatch of the data set, one update of both networks, and one step of Gs towards G."""
        self._run('G', lod, minibatch, [(D_lrate, G_lrate)], *self._reals())

    def repeat(self):
        def update_both(sched):
            self.train_both(sched.lod, sched.minibatch, sched.D_lrate, sched.G_lrate)
            return sched.minibatch
        return [update_both]

    def _make_G_update(self, stage, size, tags):
        """The update of a stage, for minibatches of `size` images on each device."""
        G, D, native = self._views(stage)
        D_variables, G_variables = used_trainables(D), used_trainables(G)

        def losses(lod, reals, labels):
            reals = self._prepare(reals, lod, stage, native)
            common = dict(training_set=self.training_set, G=G, D=D, minibatch_size=size, labels=labels,
                          latents=randomness.normal([size, *G.input_shapes[0][1:]]))
            return self.D_loss(opt=self.D_opt, reals=reals, **common), self.G_loss(opt=self.G_opt, **common)
        opt = JointOptimizer(self.D_opt, self.G_opt, len(D_variables))
        return self._on_all_devices(opt, losses, D_variables + G_variables, tags, afterwards=self._follower())


class JointOptimizer:
    """Two `tfutil.Optimizer`s behind the methods of one: variables and gradients are D's and then G's, a learning rate is a pair.

    Args:
        D_opt, G_opt: the optimizers.
        count: how many of the variables are D's.
    """

    def __init__(self, D_opt, G_opt, count):
        self._opts, self._count = (D_opt, G_opt), count
        self.ids = [D_opt.id, G_opt.id]

    def _split(self, items):
        return items[:self._count], items[self._count:]

    def compute_gradients(self, loss_func, variables):
        """Differentiate the mean of D's loss and the mean of G's, each by its own variables; see `Optimizer.compute_gradients`."""
        parts = self._split(variables)
        with tf.GradientTape(watch_accessed_variables=False) as D_tape, tf.GradientTape(watch_accessed_variables=False) as G_tape:
            D_tape.watch(parts[0])
            G_tape.watch(parts[1])
            losses = loss_func()
            scaled = [opt.apply_loss_scaling(tf.reduce_mean(tf.cast(loss, tf.float32))) for opt, loss in zip(self._opts, losses)]
        gradients = [*D_tape.gradient(scaled[0], parts[0]), *G_tape.gradient(scaled[1], parts[1])]
        return losses, [None if g is None else tf.cast(g, tf.float32) for g in gradients]

    def register(self, gradients, variables):
        for opt, own_gradients, own_variables in zip(self._opts, self._split(gradients), self._split(variables)):
            opt.register(own_gradients, own_variables)

    def apply_updates(self, rates):
        for number, opt in enumerate(self._opts):
            opt.apply_updates(rates[number])
