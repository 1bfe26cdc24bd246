"""Optimizer: the original's Adam with gradient averaging and loss scaling."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from pgan.options import Decay, NonNegative, Positive, Supplied, SuppliedIfTaken
from tfutil import ops
from tfutil.devices import all_reduce, set_in_replica
from tfutil.fusion import fused
from tfutil.summary import autosummary


class Optimizer:
    """Adam with epsilon outside the bias-corrected root, as in TensorFlow 1.

    w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

    Gradients are averaged in float32, over all registered losses and all replicas. If any gradient
    on any replica is not finite, all replicas skip the whole update (weights, moments, step count)
    and report it as an overflow.

    Args:
        name: prefix of the TensorBoard tags, e.g. 'TrainG'.
        learning_rate: default for `apply_updates`.
        use_loss_scaling: multiply losses by 2^x and gradients by 2^-x, so that float16 gradients do
            not vanish.
        loss_scaling_init, loss_scaling_inc, loss_scaling_dec: initial x, its increase after each
            update and its decrease after each overflow.
        beta1, beta2, epsilon: parameters of Adam.
    """

    def __init__(
        self,
        name: Supplied[str] = 'Train',
        learning_rate: SuppliedIfTaken[Positive] = 0.001,
        use_loss_scaling: bool = False,
        loss_scaling_init: float = 64.0,
        loss_scaling_inc: NonNegative = 0.0005,
        loss_scaling_dec: NonNegative = 1.0,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        epsilon: Positive = 1e-8,
    ):
        self.id = name.replace('/', '.')
        self.learning_rate = learning_rate
        self.use_loss_scaling = use_loss_scaling
        self.loss_scaling_inc = loss_scaling_inc
        self.loss_scaling_dec = loss_scaling_dec
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.loss_scaling = tf.Variable(loss_scaling_init if use_loss_scaling else 0.0,
                                        trainable=False, dtype=tf.float32)
        self.beta1_power = tf.Variable(beta1, trainable=False, dtype=tf.float32)
        self.beta2_power = tf.Variable(beta2, trainable=False, dtype=tf.float32)
        # by variable reference: (m, v), and (variable, gradients)
        self.slots: dict[Any, tuple[tf.Variable, tf.Variable]] = {}
        self._registered: dict[Any, tuple[tf.Variable, list[tf.Tensor]]] = {}

    # ------------------------------------------------------------ loss scaling

    def apply_loss_scaling(self, value: tf.Tensor) -> tf.Tensor:
        """Multiply a loss by the current scale; return it unchanged without loss scaling."""
        return value * ops.exp2(self.loss_scaling) if self.use_loss_scaling else value

    def scaled_mean(self, loss: tf.Tensor) -> tf.Tensor:
        """Return the value to differentiate: mean of a loss in float32, times the current scale."""
        return self.apply_loss_scaling(tf.reduce_mean(tf.cast(loss, tf.float32)))

    def undo_loss_scaling(self, value: tf.Tensor) -> tf.Tensor:
        """Divide a gradient by the current scale; return it unchanged without loss scaling."""
        return value * ops.exp2(-self.loss_scaling) if self.use_loss_scaling else value

    # ------------------------------------------------------------ gradients

    def compute_gradients(
            self, loss_func: Callable[[], tf.Tensor],
            variables: Sequence[tf.Variable]) -> tuple[tf.Tensor, list[tf.Tensor | None]]:
        """Differentiate the mean of a loss.

        Args:
            loss_func: function that returns a loss tensor of any shape.
            variables: tf.Variables to differentiate with respect to.

        Returns:
            The loss, and the float32 gradients, still scaled. A gradient is None if the loss does
            not depend on the variable.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = loss_func()
            scaled = self.scaled_mean(loss)
        gradients = tape.gradient(scaled, variables)
        return loss, [None if g is None else tf.cast(g, tf.float32) for g in gradients]

    def register_gradients(self, loss_func: Callable[[], tf.Tensor],
                           variables: Sequence[tf.Variable]) -> tf.Tensor:
        """Differentiate a loss and keep the gradients for `apply_updates`, which averages them.

        Kept from the original's interface. Training here differentiates several losses at once and
        calls `register`.

        Returns:
            The loss.
        """
        loss, gradients = self.compute_gradients(loss_func, variables)
        self.register(gradients, variables)
        return loss

    def register(self, gradients: Iterable[tf.Tensor | None],
                 variables: Iterable[tf.Variable]) -> None:
        """Keep scaled gradients for `apply_updates`; None counts as zero."""
        for grad, var in zip(gradients, variables):
            _, registered = self._registered.setdefault(var.ref(), (var, []))
            registered.append(tf.zeros_like(var) if grad is None else grad)

    # ------------------------------------------------------------ the update

    def create_slots(self, variables: Iterable[tf.Variable]) -> None:
        """Create the moments of the variables. Call it before compiling a step that uses them."""
        for var in variables:
            if var.ref() not in self.slots:
                with tf.init_scope():
                    m, v = (tf.Variable(tf.zeros(var.shape), trainable=False) for _ in 'mv')
                self.slots[var.ref()] = m, v

    def apply_updates(self, learning_rate: float | tf.Tensor | None = None) -> tf.Tensor:
        """Average the registered gradients and apply one update; skip it if any is not finite.

        Args:
            learning_rate: number or scalar tensor; None = the default.

        Returns:
            Boolean tensor: whether the update was applied.
        """
        rate = tf.cast(self.learning_rate if learning_rate is None else learning_rate, tf.float32)
        if not self._registered:
            raise ValueError(f'{self.id}: no gradients to apply. Call register_gradients first.')
        # Clear the list before the all-reduce: replicas are traced one after the other, and the
        # next one registers its gradients here, too.
        registered, self._registered = list(self._registered.values()), {}
        variables = [var for var, _ in registered]
        self.create_slots(variables)
        scaled = average_over_replicas([_average(gradients) for _, gradients in registered])
        finite = fused(lambda *scaled: self._update(scaled, variables, rate), *scaled)
        autosummary(f'{self.id}/learning_rate', rate)
        autosummary(f'{self.id}/overflow_frequency', 1.0 - tf.cast(finite, tf.float32))
        if self.use_loss_scaling:
            autosummary(f'{self.id}/loss_scaling_log2', tf.convert_to_tensor(self.loss_scaling))
        return finite

    def _update(self, scaled: Sequence[tf.Tensor], variables: Sequence[tf.Variable],
                rate: tf.Tensor) -> tf.Tensor:
        """Apply Adam if all gradients are finite. Return whether they are.

        A skipped update is computed with gradients and learning rate 0 and decays 1, which leaves
        weights, moments and step count unchanged to the bit. A conditional update would make a GPU
        wait for the host.
        """
        # Check before the scale is undone: a compiler may fold the two multiplications into one,
        # which would hide overflows. All replicas check the same averages, to which non-finite
        # values propagate, so they agree.
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in scaled])
        factor = tf.where(finite, self.undo_loss_scaling(1.0), 0.0)
        rate = tf.where(finite, rate, 0.0)
        beta1 = tf.where(finite, self.beta1, 1.0)
        beta2 = tf.where(finite, self.beta2, 1.0)
        beta1_power, beta2_power = tf.identity(self.beta1_power), tf.identity(self.beta2_power)
        for grad, var in zip(scaled, variables):
            m, v = self.slots[var.ref()]
            tf.raw_ops.ResourceApplyAdam(var=var.handle, m=m.handle, v=v.handle,
                                         beta1_power=beta1_power, beta2_power=beta2_power, lr=rate,
                                         beta1=beta1, beta2=beta2, epsilon=self.epsilon,
                                         grad=tf.math.multiply_no_nan(grad, factor))
        set_in_replica(self.beta1_power, beta1_power * beta1)
        set_in_replica(self.beta2_power, beta2_power * beta2)
        if self.use_loss_scaling:
            change = tf.where(finite, self.loss_scaling_inc, -self.loss_scaling_dec)
            set_in_replica(self.loss_scaling, self.loss_scaling + change)
        return finite

    def state_variables(self, named: Mapping[str, tf.Variable]) -> dict[str, Any]:
        """Return the state that later updates depend on, for a checkpoint.

        Args:
            named: the updated variables, by name.

        Returns:
            Nested dicts of tf.Variable.
        """
        self.create_slots(named.values())
        m, v = ({name: self.slots[var.ref()][i] for name, var in named.items()} for i in range(2))
        return dict(m=m, v=v, beta1_power=self.beta1_power, beta2_power=self.beta2_power,
                    loss_scaling=self.loss_scaling)

    def reset_optimizer_state(self) -> None:
        """Reset moments and step count; keep the loss scale."""
        for m, v in self.slots.values():
            m.assign(tf.zeros_like(m))
            v.assign(tf.zeros_like(v))
        self.beta1_power.assign(self.beta1)
        self.beta2_power.assign(self.beta2)


def _average(gradients):
    return gradients[0] if len(gradients) == 1 else tf.add_n(gradients) / len(gradients)


def average_over_replicas(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """Return the mean of each gradient over all replicas, inside a replica's step."""
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return gradients if replicas == 1 else [total / replicas for total in all_reduce(gradients)]
