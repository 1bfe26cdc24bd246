"""The compiled part of training: one D and one G update for each growth stage and minibatch size.

floor(lod) and "fading or not" change a dozen times in a run. They are fixed when a step is compiled, so nothing above the active
resolution is computed or held in memory; only the weight of the blend is a tensor.
"""
import tensorflow as tf

from layers import shared_kernels
from tfutil import Stage, lerp, randomness, summary
from training.reals import process_reals, repeat_pixels


class TrainingSteps:
    """The updates of a run, compiled when first needed.

    Args:
        G, D, Gs: the networks; Gs follows G.
        G_opt, D_opt: their `tfutil.Optimizer`s.
        G_loss, D_loss: functions with the arguments of those in `loss`.
        training_set: a data set of `dataset`.
        G_smoothing: decay of Gs per D update.
        drange_net, mirror_augment: see `process_reals`.
        random_seed: all draws are a function of it and of the number of updates so far.
        cur_nimg: images shown before; a run that goes on does not draw again what was drawn up to there.
    """

    def __init__(self, G, D, Gs, G_opt, D_opt, G_loss, D_loss, training_set, G_smoothing, drange_net, mirror_augment, random_seed,
                 cur_nimg=0):
        self.G, self.D, self.Gs, self.G_opt, self.D_opt = G, D, Gs, G_opt, D_opt
        self.G_loss, self.D_loss, self.training_set = G_loss, D_loss, training_set
        self.G_smoothing, self.drange_net, self.mirror_augment, self.random_seed = G_smoothing, drange_net, mirror_augment, random_seed
        self.updates = 2 * cur_nimg  # number of updates so far (at most two an image): the key of their random draws
        self._compiled = {}
        self._moved = {name for name in G.trainables if (G.get_var(name) != Gs.get_var(name)).any()}
        G_opt.create_slots(G.trainables.values())
        D_opt.create_slots(D.trainables.values())

    def set_lod(self, lod):
        """Set the networks' lod variables, which the compiled steps blend by, and snapshots and grids are made with."""
        for net in (self.G, self.D, self.Gs):
            if 'lod' in net.vars:
                net.set_var('lod', lod)

    def train_D(self, lod, minibatch, lrate):
        """One minibatch of the data set, one D update, and one step of Gs towards G."""
        reals, labels = self.training_set.get_minibatch_tf()
        self._run('D', lod, minibatch, lrate, reals, labels)

    def train_G(self, lod, minibatch, lrate):
        """One G update."""
        self._run('G', lod, minibatch, lrate)

    def reset_optimizers(self):
        self.G_opt.reset_optimizer_state()
        self.D_opt.reset_optimizer_state()

    def graph_def(self):
        """The graph of the D update made last, for TensorBoard."""
        function, arguments = self._last_D
        return function.get_concrete_function(*arguments).graph.as_graph_def()

    # ------------------------------------------------------------ compiling

    def _run(self, which, lod, minibatch, lrate, *data):
        stage = Stage.of(lod, self.training_set.shape[1])
        key = (which, stage, minibatch)
        if key not in self._compiled:
            tags = []
            make = self._make_D_step if which == 'D' else self._make_G_step
            self._compiled = {k: v for k, v in self._compiled.items() if k[0] != which}  # a stage that is over does not come back
            self._compiled[key] = (make(stage, minibatch, tags), tags)
        function, tags = self._compiled[key]
        arguments = (tf.constant(lod, tf.float32), tf.constant(lrate, tf.float32), tf.constant(self.updates, tf.int32), *data)
        collected = function(*arguments)
        self.updates += 1
        if which == 'D':
            self._last_D = function, arguments
        summary.add_stacked(tags, collected.numpy())

    def _views(self, stage):
        """The networks as a loss sees them at a stage, and whether that is at the stage's own resolution.

        If one of them cannot be cut to a stage (structure 'linear', or a user's that does not grow), both work at the full one.
        """
        native = self.G.gives_native_images and self.D.stage is not None
        G_stage, D_stage = (None if net.stage is None else stage for net in (self.G, self.D))
        return self.G.at_stage(G_stage, native=native), self.D.at_stage(D_stage), native

    def _make_D_step(self, stage, minibatch, tags):
        G, D, native = self._views(stage)
        variables = used_trainables(D)
        followed = self._followed(used_trainables(G))

        @tf.function(autograph=False)
        def step(lod, lrate, update, reals, labels):
            with randomness.keyed(self.random_seed, update), summary.collecting() as collected:
                reals = process_reals(reals, lod if stage.fading else stage.floor_lod, self.mirror_augment,
                                      self.training_set.dynamic_range, self.drange_net, native=True)
                reals = reals if native else repeat_pixels(reals, 2 ** stage.floor_lod)
                self._register(self.D_opt, self.D_loss, variables, G=G, D=D, minibatch_size=minibatch, reals=reals, labels=labels)
                self.D_opt.apply_updates(lrate)
                for own, source, decay in followed:
                    own.assign(lerp(source, own, decay) if decay else source)
                names, values = summary.stacked(collected)
                tags[:] = names
            return values
        return step

    def _register(self, opt, loss, variables, **arguments):
        """Differentiate a loss; layers that it calls several times make their kernels once."""
        def compute():
            with shared_kernels():
                return loss(opt=opt, training_set=self.training_set, **arguments)
        opt.register_gradients(compute, variables)

    def _followed(self, used):
        """Triples (own, G's, decay) of the variables that Gs follows: trainables that have moved so far, now or in an earlier stage.

        The others are equal in G and Gs, so that averaging them would change nothing and cost a pass over all of the network. What is not
        trainable (`lod`, a user's batch statistics) is copied.
        """
        self._moved |= {self.G.get_var_localname(var) for var in used}
        return [(self.Gs.vars[name], var, self.G_smoothing if name in self.G.trainables else 0.0) for name, var in self.G.vars.items()
                if name in self._moved or name not in self.G.trainables]

    def _make_G_step(self, stage, minibatch, tags):
        G, D, _ = self._views(stage)
        variables = used_trainables(G)

        @tf.function(autograph=False)
        def step(lod, lrate, update):
            with randomness.keyed(self.random_seed, update), summary.collecting() as collected:
                self._register(self.G_opt, self.G_loss, variables, G=G, D=D, minibatch_size=minibatch)
                self.G_opt.apply_updates(lrate)
                names, values = summary.stacked(collected)
                tags[:] = names
            return values
        return step


def used_trainables(network):
    """The trainable variables that a network's (or view's) output depends on, in its own order: the rest has no gradient at this stage."""
    @tf.function(autograph=False)
    def trace():
        with tf.GradientTape() as tape:
            network.get_output_for(*[tf.zeros([1, *shape[1:]]) for shape in network.input_shapes])
        watched.extend(tape.watched_variables())
    watched = []
    trace.get_concrete_function()
    used = {var.ref() for var in watched}
    return [var for var in network.trainables.values() if var.ref() in used]
