"""Mathematics of the updates of G and D, on a replica's share of a minibatch, at one growth stage.

These are functions of tensors. `pgan.training.step` compiles them, supplies their random keys, and
runs them on every device.
"""
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from pgan.nn.layers import make_kernels
from pgan.nn.sharing import evaluating
from pgan.training.augment import Augmentation, Method
from pgan.training.overfitting import STEPS_BETWEEN
from pgan.training.reals import process_reals
from tfutil import NetworkAtStage, Stage, fp32, lerp, randomness, summary
from tfutil.devices import all_reduce, replica_copies, set_in_replica
from tfutil.fusion import fused
from tfutil.network import defined_by_its_class
from tfutil.objects import expecting_tensorflow2
from tfutil.ops import repeat_pixels
from tfutil.optimizer import Optimizer, average_over_replicas

if TYPE_CHECKING:
    from pgan.training.step import TrainingSteps


@dataclasses.dataclass(frozen=True)
class UpdateOptions:
    """Options of an update, except for losses and optimizers.

    Attributes:
        G_smoothing: decay of Gs per D update.
        drange_net, mirror_augment, dequantize_reals: see `process_reals`.
        random_seed: seed of all random draws, which also depend on the number of updates so far and
            on the replica.
        D_repeats: D updates per G update.
        joint: update D and G at once, from the same latents and the same networks.
        xla: compile losses, gradients and updates with XLA.
        fuse: compile groups of small operations with XLA if it does not compile everything.
        parts: number of parts of a minibatch that networks evaluate in parallel; see
            `pgan.training.threads`.
        augment: augmentation of D's images, see `pgan.training.augment`; None = none.
        augment_target, augment_kimg: see `pgan.training.overfitting`.
        frozen: names of D's variables that are not trained; they get no gradients.
    """
    G_smoothing: float = 0.999
    drange_net: tuple[float, float] = (-1, 1)
    mirror_augment: bool = False
    dequantize_reals: bool = False
    random_seed: int = 1000
    D_repeats: int = 1
    joint: bool = False
    xla: bool = False
    fuse: bool = False
    parts: int = 1
    augment: Method | None = None
    augment_target: float = 0.5
    augment_kimg: float = 100
    frozen: frozenset[str] = frozenset()


class ScheduleTensors(NamedTuple):
    """Values of the schedule that a compiled step receives: scalar tensors."""
    lod: tf.Tensor
    D_lrate: tf.Tensor
    G_lrate: tf.Tensor


class Goal(NamedTuple):
    """Variables to minimize a loss with.

    Attributes:
        opt: the optimizer.
        variables: the variables that it updates.
        rate: learning rate, a scalar tensor.
    """
    opt: Optimizer
    variables: list[tf.Variable]
    rate: tf.Tensor


class Updates:
    """D's update and G's: Algorithm 1 of Gulrajani et al. 2017 as in the paper's Appendix A.1.

    Args:
        run: networks, optimizers, losses, data set.
        options: the other options of updates.
        stage: the growth stage.
        size: images in a replica's share of a minibatch.

    Attributes:
        draws: number of random draws of each traced update, by its name.
    """

    def __init__(self, run: 'TrainingSteps', options: UpdateOptions, stage: Stage, size: int):
        self.run = run
        self.options = options
        self.stage = stage
        self.size = size
        self.G, self.D, self.native = run.views(stage)
        self.G_variables = used_trainables(self.G)
        frozen = {self.D.trainables[name].ref() for name in options.frozen}
        self.D_variables = [var for var in used_trainables(self.D) if var.ref() not in frozen]
        self.common = dict(G=self.G, D=self.D, training_set=run.training_set, minibatch_size=size)
        self.augmentation: Augmentation | None = None
        if options.augment is not None:
            self.augmentation = Augmentation(options.augment, options.drange_net,
                                             run.overfitting.probability)
            self.common['augment'] = self.augmentation
        self.draws: dict[str, int] = {}

    def update_D(self, now: ScheduleTensors, keys: tf.Tensor, reals: tf.Tensor,
                 labels: tf.Tensor) -> list[tf.Tensor]:
        """Update D on reals and an equal number of fakes, then move Gs one step towards G.

        Returns:
            List of one boolean tensor: whether D was updated. It depends on D's gradients.
        """
        def loss():
            prepared = self.prepare(reals, now.lod)
            return [self.run.D_loss(opt=self.run.D_opt, reals=prepared, labels=labels,
                                    **self.common)]
        updated = self.minimize('D', loss, keys,
                                [Goal(self.run.D_opt, self.D_variables, now.D_lrate)])
        self.move_Gs()
        return updated

    def update_G(self, now: ScheduleTensors, keys: tf.Tensor) -> None:
        """Update G on D's scores of its images."""
        def loss():
            return [self.run.G_loss(opt=self.run.G_opt, **self.common)]
        self.minimize('G', loss, keys, [Goal(self.run.G_opt, self.G_variables, now.G_lrate)])

    def update_both(self, now: ScheduleTensors, keys: tf.Tensor, reals: tf.Tensor,
                    labels: tf.Tensor) -> None:
        """Update D and G at once, from the same latents; then move Gs one step towards G.

        The paper's CIFAR-10 run does this. The losses must take `latents`, and G's loss must take
        `labels`, like those in `loss`.
        """
        def losses():
            prepared = self.prepare(reals, now.lod)
            latents = randomness.normal([self.size, *self.G.input_shapes[0][1:]])
            common = dict(self.common, latents=latents, labels=labels)
            return [self.run.D_loss(opt=self.run.D_opt, reals=prepared, **common),
                    self.run.G_loss(opt=self.run.G_opt, **common)]
        self.minimize('both', losses, keys, [
            Goal(self.run.D_opt, self.D_variables, now.D_lrate),
            Goal(self.run.G_opt, self.G_variables, now.G_lrate)])
        self.move_Gs()

    def compare_scores(self, now: ScheduleTensors, keys: tf.Tensor, reals: tf.Tensor,
                       labels: tf.Tensor, held_out: tf.Tensor) -> None:
        """Score reals, held-out images and fakes with D, and pass the means to `Overfitting`."""
        with randomness.keyed_by(keys) as key, evaluating(self.options.parts):
            latents = randomness.normal([self.size, *self.G.input_shapes[0][1:]])
            minibatches = [self.prepare(reals, now.lod), self.prepare(held_out, now.lod),
                           self.G.get_output_for(latents, labels)]
            if self.augmentation is not None:
                minibatches = self.augmentation(*minibatches)
            scores = [tf.reduce_mean(fp32(self.D.get_output_for(images)[0]))
                      for images in minibatches]
        self.draws['compare'] = key.draws
        replicas = self.run.devices.num_replicas
        of_reals, of_held_out, of_fakes = (total / replicas for total in all_reduce(scores))
        self.run.overfitting.observe(of_reals, of_held_out, of_fakes,
                                     STEPS_BETWEEN * self.size * replicas)

    # ------------------------------------------------------------ parts of updates

    def prepare(self, reals: tf.Tensor, lod: tf.Tensor) -> tf.Tensor:
        """Process images of the data set into D's input."""
        options, stage = self.options, self.stage

        def process(reals):
            reals = process_reals(reals, lod if stage.fading else stage.floor_lod,
                                  options.mirror_augment, self.run.training_set.dynamic_range,
                                  options.drange_net, native=True,
                                  dequantize=options.dequantize_reals)
            return reals if self.native else repeat_pixels(reals, 2 ** stage.floor_lod)
        return fused(process, reals)

    def minimize(self, name: str, losses: Callable[[], list[tf.Tensor]], keys: tf.Tensor,
                 goals: Sequence[Goal]) -> list[tf.Tensor]:
        """Update variables with the gradients of losses, averaged over all devices.

        Args:
            name: name of the update, for `draws`.
            losses: function that returns a loss per sample for each goal.
            keys: `randomness.key_table` of the random draws.
            goals: the `Goal` of each loss.

        Returns:
            For each goal a boolean tensor: whether its variables were updated.
        """
        def differentiate(keys):
            with randomness.keyed_by(keys) as key, summary.collecting() as collected:
                gradients = self.gradients(losses, goals)
            self.draws[name] = key.draws
            return gradients, collected.statistics()

        compute = fused if self.options.xla else lambda function, keys: function(keys)
        gradients, statistics = compute(differentiate, keys)
        summary.collect(statistics)
        for goal, own in zip(goals, gradients):
            goal.opt.register(own, goal.variables)
        updated = [goal.opt.apply_updates(goal.rate) for goal in goals]
        self.average_states()
        return updated

    def gradients(self, losses: Callable[[], list[tf.Tensor]],
                  goals: Sequence[Goal]) -> list[list[tf.Tensor | None]]:
        """Gradients of each goal's loss with respect to its variables.

        They are float32, or None if the loss does not depend on the variable.
        """
        with contextlib.ExitStack() as stack:
            tapes = [stack.enter_context(tf.GradientTape(watch_accessed_variables=False))
                     for _ in goals]
            for tape, goal in zip(tapes, goals):
                tape.watch(goal.variables)
            with evaluating(self.options.parts), expecting_tensorflow2('a loss'):
                for view in (self.G, self.D):
                    make_kernels(view)
                values = losses()
            scaled = [goal.opt.scaled_mean(value) for goal, value in zip(goals, values)]
        for goal, value in zip(goals, values):
            summary.autosummary(summary.finite_losses_tag(goal.opt.id),
                                tf.cast(tf.math.is_finite(value), tf.float32))
        return [[None if g is None else tf.cast(g, tf.float32)
                 for g in tape.gradient(value, goal.variables)]
                for tape, goal, value in zip(tapes, goals, scaled)]

    def move_Gs(self) -> None:
        """Move Gs one step towards G.

        Trainable variables that have never been updated are equal in both; averaging them would
        cost a pass over the whole network. Non-trainable variables (`lod`, a user's batch
        statistics) are copied.
        """
        G, Gs = self.run.G, self.run.Gs
        followed = [(Gs.vars[name], var, self.options.G_smoothing if name in G.trainables else 0.0)
                    for name, var in G.vars.items()
                    if name in self.run.moved or name not in G.trainables]

        def move():
            for own, source, decay in followed:
                set_in_replica(own, lerp(source, own, decay) if decay else source)
        fused(move)

    def average_states(self) -> None:
        """Average batch statistics and similar variables, which each replica computes from its own
        share of the minibatch.
        """
        if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
            return
        states = [var for net in (self.run.G, self.run.D) for name, var in net.vars.items()
                  if name not in net.trainables and name != 'lod' and var.dtype.is_floating]
        means = average_over_replicas([tf.convert_to_tensor(var) for var in states])
        for var, mean in zip(states, means):
            set_in_replica(var, mean)


# ---------------------------------------------------------------- variables of a stage

def used_trainables(view: NetworkAtStage) -> list[tf.Variable]:
    """Trainable variables used by a view of a network, in the network's order.

    The others have no gradient at the view's stage.
    """
    if defined_by_its_class(view.model, 'layers_at'):
        layers = view.model.layers_at(view.chosen_stage)
        watched = [var.value for layer in layers for var in layer.trainable_variables]
    else:
        watched = _watched_in_evaluation(view)
    used = {var.ref() for var in watched}
    return [var for var in view.trainables.values()
            if any(own.ref() in used for own in replica_copies(var))]


def _watched_in_evaluation(view: NetworkAtStage) -> list[tf.Variable]:
    @tf.function(autograph=False)
    def trace():
        with tf.GradientTape() as tape:
            view.get_output_for(*[tf.zeros([1, *shape[1:]]) for shape in view.input_shapes])
        watched.extend(tape.watched_variables())
    watched: list[tf.Variable] = []
    trace.get_concrete_function()
    return watched
