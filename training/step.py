"""The compiled part of training: one D and one G update for each growth stage and minibatch size.

floor(lod) and "fading or not" change a dozen times in a run. They are fixed when a step is compiled, so nothing above the active
resolution is computed or held in memory; only the weight of the blend is a tensor.

Each device makes the same update from its own share of the minibatch (`tfutil.devices`): own draws, own minibatch-stddev groups, as each
of the original's GPUs did. Gradients and statistics are summed over all devices.
"""
import contextlib
import re

import tensorflow as tf

from errors import ConfigError
from layers import minibatch_parts, shared_kernels
from tfutil import Stage, lerp, randomness, summary
from tfutil.devices import all_reduce, copies, make_devices, set_in_replica
from tfutil.optimizer import average_over_replicas
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
        random_seed: all draws are a function of it, of the number of updates so far and of the replica.
        cur_nimg: images shown before; a run that goes on does not draw again what was drawn up to there.
        devices: `tfutil.devices.Devices`, in whose scope the networks and optimizers were made; None = one device.
        xla: compile losses and gradients with XLA.
        dequantize_reals: see `process_reals`.
        parts: of a minibatch, which networks evaluate side by side; see `training.threads`.
        D_repeats: D updates for each of G.
    """

    def __init__(self, G, D, Gs, G_opt, D_opt, G_loss, D_loss, training_set, G_smoothing, drange_net, mirror_augment, random_seed,
                 cur_nimg=0, devices=None, xla=False, dequantize_reals=False, parts=1, D_repeats=1):
        self.G, self.D, self.Gs, self.G_opt, self.D_opt = G, D, Gs, G_opt, D_opt
        self.G_loss, self.D_loss, self.training_set = G_loss, D_loss, training_set
        self.G_smoothing, self.drange_net, self.mirror_augment, self.random_seed = G_smoothing, drange_net, mirror_augment, random_seed
        self.updates = 2 * cur_nimg  # number of updates so far (at most two an image): the key of their random draws
        self.devices, self.xla, self.dequantize_reals, self.parts = devices or make_devices(), xla, dequantize_reals, parts
        self.D_repeats = D_repeats
        self._compiled = {}  # (which, stage, minibatch) -> (compiled function, tags of what it reports)
        self._latest = {}  # which -> key of the step made last
        self._used = {}  # stage -> names of G's trainables in it
        self._moved = {name for name in G.trainables if (G.get_var(name) != Gs.get_var(name)).any()}
        with self.devices.strategy.scope():
            G_opt.create_slots(G.trainables.values())
            D_opt.create_slots(D.trainables.values())

    def set_lod(self, lod):
        """Set the networks' lod variables, which the compiled steps blend by, and snapshots and grids are made with."""
        for net in (self.G, self.D, self.Gs):
            if 'lod' in net.vars:
                net.set_var('lod', lod)

    def repeat(self):
        """What is done minibatch_repeats times between two looks at the schedule: D_repeats updates of D and one of G.

        Returns:
            List of functions of a `TrainingSchedule` that make one step and return the number of real images that it showed.
        """
        def update_D(sched):
            self.train_D(sched.lod, sched.minibatch, sched.D_lrate)
            return sched.minibatch

        def update_G(sched):
            self.train_G(sched.lod, sched.minibatch, sched.G_lrate)
            return 0

        def update_D_and_G(sched):
            self.train_D_and_G(sched.lod, sched.minibatch, sched.D_lrate, sched.G_lrate)
            return sched.minibatch
        if self.D_repeats == 1:
            return [update_D_and_G]
        return [update_D] * self.D_repeats + [update_G]  # D is not to be compiled twice

    def train_D(self, lod, minibatch, lrate):
        """One minibatch of the data set, one D update, and one step of Gs towards G."""
        self._run('D', lod, minibatch, [lrate], *self._reals())

    def train_G(self, lod, minibatch, lrate):
        """One G update."""
        self._run('G', lod, minibatch, [lrate])

    def train_D_and_G(self, lod, minibatch, D_lrate, G_lrate):
        """`train_D` and then `train_G`, compiled as one: there is no waiting between them."""
        self._run('DG', lod, minibatch, [D_lrate, G_lrate], *self._reals())

    def _reals(self):
        """This machine's part of the next minibatch: images and labels, as shares of its devices."""
        return self.devices.shares(*self.training_set.get_minibatch_tf(self.devices.index, self.devices.workers))

    def state(self):
        """What the next updates depend on besides variables and data, for a checkpoint."""
        return dict(updates=self.updates, moved=sorted(self._moved))

    def restore(self, state):
        self.updates, self._moved = state['updates'], set(state['moved'])

    def follow_all(self):
        """Let the steps compiled from now on make Gs follow all of G: whatever stages come before they are used, nothing is missed."""
        self._moved = set(self.G.trainables)

    def reset_optimizers(self):
        self.G_opt.reset_optimizer_state()
        self.D_opt.reset_optimizer_state()

    def graph_def(self):
        """The graph of a step made last, of one that updates D, for TensorBoard."""
        return self._compiled[next(iter(self._latest.values()))][0].graph.as_graph_def()

    # ------------------------------------------------------------ compiling

    def _run(self, which, lod, minibatch, lrates, *data):
        """Updates in order: `which` has a letter for each, `lrates` a learning rate."""
        stage = Stage.of(lod, self.training_set.shape[1])
        key = (which, stage, minibatch)
        arguments = (tf.constant(lod, tf.float32), tf.constant(lrates, tf.float32), tf.constant(self.updates, tf.int32), *data)
        if self._latest.get(which) != key:
            # A stage that is over does not come back. The last one may have been compiled before its time.
            self._compiled = {k: v for k, v in self._compiled.items() if k[0] != which or k == key or k[1] == Stage(0, False)}
            self._latest[which] = key
            self._moved |= self._names_used_at(stage)
        if key not in self._compiled:
            self._compiled[key] = self._compile(which, stage, minibatch // self.devices.num_replicas, arguments)
        step, tags = self._compiled[key]
        with self._telling_what_xla_lacks():
            collected = step(*arguments)
        self.updates += len(which)
        summary.add_stacked(tags, collected.numpy())

    def _compile(self, which, stage, size, arguments):
        """Updates in order as one compiled function, and the tags of what it reports: sums and counts, [tags, 2]."""
        makers = [self._make_D_update if letter == 'D' else self._make_G_update for letter in which]
        tags = [[] for _ in makers]
        updates = [make(stage, size, own_tags) for make, own_tags in zip(makers, tags)]

        @tf.function(autograph=False)
        def step(lod, lrates, number, *data):
            collected = []
            for i, update in enumerate(updates):
                with tf.control_dependencies(collected):  # draws wait for the number: side by side, both would be in memory
                    collected.append(update(lod, lrates[i], number + i, *data))
            return tf.concat(collected, axis=0)
        return step.get_concrete_function(*arguments), sum(tags, [])

    @contextlib.contextmanager
    def _telling_what_xla_lacks(self):
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            if not self.xla or 'XLA' not in error.message:
                raise
            lacks = re.search(r'[^\n]*unsupported operations[^\n]*', error.message) or re.search(r'[^\n]*XLA[^\n]*', error.message)
            raise ConfigError(f'train.xla = True, but XLA cannot compile this run: {lacks.group().strip()[:300]} Set train.xla = False, or '
                              'write what the losses and the data set compute in other operations.') from error

    def _views(self, stage):
        """The networks as a loss sees them at a stage, and whether that is at the stage's own resolution.

        If one of them cannot be cut to a stage (structure 'linear', or a user's that does not grow), both work at the full one.
        """
        native = self.G.gives_native_images and self.D.stage is not None
        G_stage, D_stage = (None if net.stage is None else stage for net in (self.G, self.D))
        return self.G.at_stage(G_stage, native=native), self.D.at_stage(D_stage), native

    def _make_D_update(self, stage, size, tags):
        """The D update of a stage, for minibatches of `size` images on each device."""
        G, D, native = self._views(stage)

        def loss(lod, reals, labels):
            reals = self._prepare(reals, lod, stage, native)
            return self.D_loss(opt=self.D_opt, training_set=self.training_set, G=G, D=D, minibatch_size=size, reals=reals, labels=labels)
        return self._on_all_devices(self.D_opt, loss, used_trainables(D), tags, afterwards=self._follower())

    def _prepare(self, reals, lod, stage, native):
        """Images of the data set as D is to see them."""
        reals = process_reals(reals, lod if stage.fading else stage.floor_lod, self.mirror_augment, self.training_set.dynamic_range,
                              self.drange_net, native=True, dequantize=self.dequantize_reals)
        return reals if native else repeat_pixels(reals, 2 ** stage.floor_lod)

    def _follower(self):
        """A function that moves Gs one step towards G."""
        followed = self._followed()

        def follow():
            for own, source, decay in followed:
                set_in_replica(own, lerp(source, own, decay) if decay else source)
        return follow

    def _make_G_update(self, stage, size, tags):
        """The G update of a stage, for minibatches of `size` images on each device."""
        G, D, _ = self._views(stage)

        def loss(lod, *_reals):
            return self.G_loss(opt=self.G_opt, training_set=self.training_set, G=G, D=D, minibatch_size=size)
        return self._on_all_devices(self.G_opt, loss, used_trainables(G), tags)

    def _names_used_at(self, stage):
        """Names of G's trainables that take part in a stage."""
        if stage not in self._used:
            G, _, _ = self._views(stage)
            self._used[stage] = {self.G.get_var_localname(var) for var in used_trainables(G)}
        return self._used[stage]

    def _followed(self):
        """Triples (own, G's, decay) of the variables that Gs follows: trainables that have moved so far, now or in an earlier stage.

        The others are equal in G and Gs, so that averaging them would change nothing and cost a pass over all of the network. What is not
        trainable (`lod`, a user's batch statistics) is copied.
        """
        return [(self.Gs.vars[name], var, self.G_smoothing if name in self.G.trainables else 0.0) for name, var in self.G.vars.items()
                if name in self._moved or name not in self.G.trainables]

    def _on_all_devices(self, opt, loss, variables, tags, afterwards=lambda: None):
        """One update on all devices, to be compiled.

        Args:
            opt, variables: the optimizer, and what it updates.
            loss: function (lod, *data) to a loss per sample; called on each device.
            tags: list that is filled with the names of the statistics.
            afterwards: function called on each device after the update.

        Returns:
            Function (lod, lrate, update, *data) to sums and counts of the statistics over all devices, [len(tags), 2].
        """
        def gradients(lod, update, *data):
            """The mathematics of the step: what XLA may compile."""
            with randomness.keyed(self.random_seed, update), summary.collecting() as collected:
                def compute():
                    with minibatch_parts(self.parts), shared_kernels():  # layers that a loss calls several times make their kernels once
                        return loss(lod, *data)
                losses, result = opt.compute_gradients(compute, variables)
                for name, values in zip(opt.ids, tf.nest.flatten(losses)):
                    summary.autosummary(summary.finite_losses(name), tf.cast(tf.math.is_finite(values), tf.float32))
                names[:], statistics = summary.stacked(collected)
            return result, statistics
        names = []

        def on_each_device(lod, lrate, update, *data):
            compute = tf.function(gradients, autograph=False, jit_compile=True) if self.xla else gradients
            grads, statistics = compute(lod, update, *data)
            with summary.collecting() as collected:
                opt.register(grads, variables)
                opt.apply_updates(lrate)
                for var, mean in zip(states, average_over_replicas([tf.convert_to_tensor(var) for var in states])):
                    set_in_replica(var, mean)
                afterwards()
                more_names, more = summary.stacked(collected)
            tags[:] = names + more_names
            return all_reduce([tf.concat([statistics, more], axis=0)])[0]

        strategy = self.devices.strategy
        # What networks of the user's own keep for themselves, such as batch statistics, each device found from its own share.
        states = [var for net in (self.G, self.D) for name, var in net.vars.items()
                  if name not in net.trainables and name != 'lod' and var.dtype.is_floating] if self.devices.num_replicas > 1 else []

        def on_all_devices(*arguments):
            return strategy.experimental_local_results(strategy.run(on_each_device, arguments))[0]
        return on_all_devices


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
    return [var for var in network.trainables.values() if used & {own.ref() for own in copies(var)}]
