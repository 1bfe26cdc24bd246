"""Training steps: compiled updates, for each growth stage and minibatch size, run on every device.

The updates themselves are in `pgan.training.updates`. floor(lod) and "fading or not" change a dozen
times during a run. They are fixed when a step is compiled, so nothing above the active resolution
is computed or held in memory; only the blending weight is a tensor.

Each replica computes the update from its own share of the minibatch (`tfutil.devices`), with its
own random draws and its own minibatch stddev groups, like each GPU of the original. Gradients and
statistics are summed over all replicas.
"""
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dataset import Dataset
from pgan.errors import ConfigError
from pgan.training.augment import MOST_DRAWS
from pgan.training.minibatches import Minibatches
from pgan.training.overfitting import STEPS_BETWEEN, Overfitting
from pgan.training.schedule import TrainingSchedule
from pgan.training.updates import ScheduleTensors, UpdateOptions, Updates, used_trainables
from tfutil import Network, NetworkAtStage, Optimizer, Stage, randomness, summary
from tfutil.devices import Devices, all_reduce, make_devices
from tfutil.fusion import fusing

FEW_DRAWS = 4  # per update with the stock losses: latents, labels, mixing factors, mirroring


class CompiledStep(NamedTuple):
    """A step compiled for one stage and minibatch size.

    Attributes:
        function: compiled function of (`ScheduleTensors`, blocks of keys, indices into them,
            *shares of the minibatch) that returns `summary.Statistics`.
        draws: for each of its updates, the number of random draws per replica for which it gets
            keys.
        calls_python: whether it calls Python code at run time, which may draw random numbers.
    """
    function: tf.types.experimental.ConcreteFunction
    draws: list[int]
    calls_python: bool


class _StepKey(NamedTuple):
    """Cache key of a compiled step."""
    kind: str
    stage: Stage
    minibatch: int


class TrainingSteps:
    """The steps of a run, compiled when first needed.

    Args:
        networks: G, D and Gs, the running average of G.
        optimizers: `tfutil.Optimizer`s of G and D.
        losses: loss functions of G and D, with the arguments of those in `loss`.
        training_set: a data set of `dataset`.
        options: `UpdateOptions`.
        devices: `tfutil.devices.Devices` in whose scope networks and optimizers were created;
            None = one device.
        cur_nimg: images already shown; a run that starts there does not repeat earlier random
            draws.
        held_out: a data set of images that are not trained on, for measuring D's overfitting;
            None = do not measure it.

    Attributes:
        step_kinds: the steps from one G update to the next, in order: 'D', 'G', 'DG' (D's update,
            then G's), or 'both' at once.
        minibatches: `Minibatches` of the data set.
        held_out: `Minibatches` of the held-out images, or None.
        overfitting: `Overfitting`; see `pgan.training.overfitting`.
    """

    def __init__(self, networks: Sequence[Network], optimizers: Sequence[Optimizer],
                 losses: Sequence[Callable[..., tf.Tensor]], training_set: Dataset,
                 options: UpdateOptions = UpdateOptions(), devices: Devices | None = None,
                 cur_nimg: int = 0, held_out: Dataset | None = None):
        self.G, self.D, self.Gs = networks
        self.G_opt, self.D_opt = optimizers
        self.G_loss, self.D_loss = losses
        self.training_set = training_set
        self.options = options
        self.devices = devices or make_devices()
        self.minibatches = Minibatches(training_set, self.devices)
        self.held_out: Minibatches | None = None
        if held_out is not None:
            held_out.reads_ahead = False  # read too rarely for prefetching
            self.held_out = Minibatches(held_out, self.devices)
        self.key_streams = self.devices.num_replicas  # each replica has its own random stream
        # Number of updates so far, which keys their random draws; at most two per image.
        self.updates = 2 * cur_nimg
        self.shown = 0  # minibatches of reals so far
        self.moved = {name for name in self.G.trainables
                      if (self.G.get_var(name) != self.Gs.get_var(name)).any()}
        self.step_kinds = _step_kinds(options)
        self._compiled: dict[_StepKey, CompiledStep] = {}
        self._early: set[_StepKey] = set()  # steps compiled early and not used yet
        self._latest: dict[str, _StepKey] = {}  # latest step by kind
        self._lod: float | None = None  # value of the networks' lod variables
        self._constants: dict[tuple, tf.Tensor] = {}  # see `_on_device`
        with self.devices.strategy.scope():
            self.G_opt.create_slots(self.G.trainables.values())
            self.D_opt.create_slots(self.D.trainables.values())
            self.overfitting = Overfitting(
                options.augment_target if options.augment == 'ada' else None, options.augment_kimg)

    # ------------------------------------------------------------ training

    def run(self, sched: TrainingSchedule, number: int = 0) -> int:
        """Make the next step of `step_kinds`: D's update and G's, or one of several D updates.

        Args:
            sched: the schedule's lod, minibatch, D_lrate and G_lrate.
            number: index of the step since the last evaluation of the schedule.

        Returns:
            Number of real images shown.
        """
        return self.step(self.step_kinds[number % len(self.step_kinds)], sched)

    def step(self, kind: str, sched: TrainingSchedule) -> int:
        """Make a step of one of the `step_kinds`. See `run`."""
        self.set_lod(sched.lod)
        shows_reals = kind != 'G'
        data = self.minibatches.take(sched.minibatch, sched.lod) if shows_reals else ()
        if shows_reals and self.held_out is not None:
            self._compare_scores(sched, data, self.held_out)
        compiled = self._get(kind, sched, data)
        if compiled.calls_python:
            self.minibatches.read_when_due()
        with self._explaining_xla():
            statistics = compiled.function(
                *self._arguments(sched, compiled.draws, self.updates), *data)
        self.updates += len(compiled.draws)
        self.shown += shows_reals
        summary.add_deferred(statistics)
        return sched.minibatch if shows_reals else 0

    def _compare_scores(self, sched: TrainingSchedule, data: Sequence[tf.Tensor],
                        held_out: Minibatches) -> None:
        """Every few steps, before D trains on a minibatch, compare its scores.

        The keys of the random draws are those of negative update numbers, so training is the same
        with or without it.
        """
        number, rest = divmod(self.shown + 1, STEPS_BETWEEN)
        if rest == 0:
            images, _ = held_out.take(sched.minibatch, sched.lod)
            compared = *data, images
            compiled = self._get('compare', sched, compared)
            with self._explaining_xla():
                summary.add_deferred(compiled.function(
                    *self._arguments(sched, compiled.draws, -number), *compared))

    def set_lod(self, lod: float) -> None:
        """Set the networks' lod variables.

        Compiled steps take the blending weight from them; snapshots and image grids use them, too.
        """
        if lod != self._lod:
            for net in (self.G, self.D, self.Gs):
                if 'lod' in net.vars:
                    net.set_var('lod', self._on_device(np.float32, lod))
            self._lod = lod

    def reset_optimizers(self) -> None:
        """Reset moments and step counts of both optimizers."""
        self.G_opt.reset_optimizer_state()
        self.D_opt.reset_optimizer_state()

    # ------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """State of the steps for a checkpoint, except for variables and the training data."""
        state = dict(updates=self.updates, moved=sorted(self.moved), shown=self.shown,
                     overfitting=self.overfitting.state())
        return state if self.held_out is None else dict(state, held_out=self.held_out.state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state`."""
        self.updates = state['updates']
        self.moved = set(state['moved'])
        if self.held_out is not None and 'held_out' in state:
            self.held_out.restore(state['held_out'])
        if 'overfitting' in state:  # missing in checkpoints of earlier versions
            self.overfitting.restore(state['overfitting'])
            self.shown = state['shown']
        # The networks may have been restored as well, so cached facts about them are invalid.
        self._latest = {}
        self._lod = None

    @contextlib.contextmanager
    def compiling_early(self) -> Iterator[None]:
        """Keep the steps compiled in the block until training has used them.

        In these steps Gs averages all of G's variables, because they do not yet know which stages
        will have been trained.
        """
        known = set(self._compiled)
        self.moved = set(self.G.trainables)
        yield
        self._early = set(self._compiled) - known

    def graph_def(self) -> tf.compat.v1.GraphDef:
        """GraphDef of the latest compiled step that updates D, for TensorBoard."""
        key = next(key for kind, key in self._latest.items() if kind != 'compare')
        return self._compiled[key].function.graph.as_graph_def()

    # ------------------------------------------------------------ compiling

    def views(self, stage: Stage) -> tuple[NetworkAtStage, NetworkAtStage, bool]:
        """Views of G and D at a stage for the losses, and whether they use its native resolution.

        If one of them cannot be restricted to a stage (structure 'linear', or a user's network that
        does not grow), both work at the full resolution.
        """
        native = self.G.gives_native_images and self.D.stage is not None
        G_stage, D_stage = (None if net.stage is None else stage for net in (self.G, self.D))
        return self.G.at_stage(G_stage, native=native), self.D.at_stage(D_stage), native

    def _get(self, kind: str, sched: TrainingSchedule, data: Sequence[tf.Tensor]) -> CompiledStep:
        """The compiled step of a kind at a point of the schedule."""
        stage = Stage.of(sched.lod, self.training_set.shape[1])
        key = _StepKey(kind, stage, sched.minibatch)
        if self._latest.get(kind) != key:  # drop earlier stages, which do not recur
            self._early = {k for k in self._early if k != key and k.stage < stage}  # future stages
            self._compiled = {k: v for k, v in self._compiled.items()
                              if k.kind != kind or k == key or k in self._early}
            self._latest[kind] = key
            self.moved |= self._names_used_at(stage)
        if key not in self._compiled:
            few = FEW_DRAWS + (MOST_DRAWS if self.options.augment else 0)
            draws = [few for _ in _updates_in(kind)]
            self._compiled[key] = self._compile(kind, sched, stage, data, draws)
        return self._compiled[key]

    def _names_used_at(self, stage: Stage) -> set[str]:
        """Names of G's trainable variables that are used at a stage."""
        used = {var.ref() for var in used_trainables(self.views(stage)[0])}
        return {name for name, var in self.G.trainables.items() if var.ref() in used}

    def _compile(self, kind: str, sched: TrainingSchedule, stage: Stage, data: Sequence[tf.Tensor],
                 draws: list[int]) -> CompiledStep:
        """Compile a step with keys for `draws` random draws in each update, or more if needed."""
        size = sched.minibatch // self.devices.num_replicas
        updates = Updates(self, self.options, stage, size)
        strategy = self.devices.strategy

        def on_device(now, tables, *data):
            with fusing(self.options.xla or self.options.fuse), summary.collecting() as collected:
                D_updated = []
                if kind == 'both':
                    updates.update_both(now, tables[0], *data)
                if kind == 'compare':
                    updates.compare_scores(now, tables[0], *data)
                if 'D' in kind:
                    D_updated = updates.update_D(now, tables[0], *data)
                if 'G' in kind:
                    # Make G's draws depend on D's update: otherwise both updates could run at once,
                    # with the activations of both in memory.
                    with tf.control_dependencies(D_updated):
                        keys = tf.identity(tables[-1])
                    updates.update_G(now, keys)
                statistics = collected.statistics()
            return summary.Statistics(statistics.tags, all_reduce([statistics.values])[0])

        @tf.function(autograph=False)
        def step(now, blocks, places, *data):
            tables = [block[place] for block, place in zip(blocks, places)]
            results = strategy.run(on_device, (now, tables, *data))
            return strategy.experimental_local_results(results)[0]
        function = step.get_concrete_function(*self._arguments(sched, draws, 0), *data)
        used = [updates.draws[name] for name in _updates_in(kind)]
        if any(own > given for own, given in zip(used, draws)):
            return self._compile(kind, sched, stage, data, used)
        return CompiledStep(function, draws, _calls_python(function))

    def _arguments(
            self, sched: TrainingSchedule, draws: Sequence[int], first: int
    ) -> tuple[ScheduleTensors, list[tf.Tensor], list[tf.Tensor]]:
        """Arguments of a compiled step, except for the data.

        Copying to a GPU waits for its queue, so unchanged values are kept there. Indices are int32
        and therefore stay in host memory.
        """
        blocks, places = zip(*(divmod(first + i, randomness.KEY_BLOCK)
                               for i in range(len(draws))))
        keys = [self._on_device(randomness.key_block, self.options.random_seed, block,
                                self.key_streams, count) for block, count in zip(blocks, draws)]
        lod, D_lrate, G_lrate = (self._on_device(np.float32, value)
                                 for value in (sched.lod, sched.D_lrate, sched.G_lrate))
        places_in_blocks = [tf.constant(place, tf.int32) for place in places]
        return ScheduleTensors(lod, D_lrate, G_lrate), keys, places_in_blocks

    def _on_device(self, function: Callable[..., Any], *arguments: Any) -> tf.Tensor:
        """function(*arguments) as a tensor, cached for the next steps."""
        key = function, *arguments
        if key not in self._constants:
            if len(self._constants) >= 64:
                self._constants.clear()
            self._constants[key] = tf.constant(function(*arguments))
        return self._constants[key]

    @contextlib.contextmanager
    def _explaining_xla(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            if not self.options.xla or 'XLA' not in error.message:
                raise
            lines = error.message.split('\n')
            causes = [line for line in lines if 'unsupported operations' in line]
            causes += [line for line in lines if 'XLA' in line]
            raise ConfigError(
                'train.xla = True, but XLA cannot compile this run: '
                f'{causes[0].strip()[:300]} Set train.xla = False, or use other operations in the '
                'losses and the data set.') from error


def _calls_python(function: tf.types.experimental.ConcreteFunction) -> bool:
    """Whether a compiled function calls back into Python, e.g. by a user's `tf.numpy_function`."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for own in graph.library.function for node in own.node_def)]
    return any('PyFunc' in node.op for node in nodes)


def _step_kinds(options: UpdateOptions) -> list[str]:
    if options.joint:
        return ['both']
    if options.D_repeats == 1:
        return ['DG']
    return ['D'] * options.D_repeats + ['G']  # a last step 'DG' would compile D's update twice


def _updates_in(kind: str) -> list[str]:
    """The updates of a step, each with its own random numbers."""
    return ['D', 'G'] if kind == 'DG' else [kind]
