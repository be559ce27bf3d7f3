"""A Keras model around a distribution: its variables, its loss, and the training step."""

import keras
import tensorflow as tf

from tfp_realnvp.bijectors.variables import as_keras_variable, learned_layers, variables_of
from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.average import WeightAverage
from tfp_realnvp.training.batches import unpacked
from tfp_realnvp.training.density_model import DensityModel
from tfp_realnvp.training.gradients import check_all_are_known, gradients_or_zeros, with_vectors_joined
from tfp_realnvp.training.regularization import regularization, set_l2

# Steps without overflow after which a float16 model's loss scale grows again, as in Keras' `LossScaleOptimizer`.
_LOSS_SCALE_PERIOD = 2_000
# Packs hundreds of small gradients into a few network messages.
_IN_PACKS = tf.distribute.experimental.CommunicationOptions(bytes_per_pack=32 * 2**20)


class FlowModel(DensityModel):
    """Maximum-likelihood training of a flow, as a Keras model.

        loss = -mean over the batch of w log p(x),      in nats per event; w = 1 without sample weights
        objective = loss + penalties of the variables' regularizers
        x = image + u,  u uniform on [0, 1),          for integer data

    Weight-norm magnitudes and the gains of checkerboard couplings get an L2 regularizer, as in the authors' program;
    custom Keras layers may add others (`kernel_regularizer=`).

    With a `dequantizer` q, u is drawn from q, and `log p(image + u) - log q(u | image)` replaces `log p(x)`.

    Integer images are dequantised inside the step. The noise is a function of the seed, of `optimizer.iterations` and
    of an image's position in the batch, so it depends neither on interruptions nor on the number of devices that share
    a batch. Float data are used unchanged.

    A batch consists of events, or of a pair `(events, context)` for a conditional flow. With `classes`, the context is
    each event's label, an integer below `classes`, and the flow receives it as a one-hot vector; otherwise it is a
    vector of size `context_size`. With sample weights a batch is `(events, context, weights)`, where the context may be
    None. As in Keras, the weighted sum is divided by the number of events, not by the sum of the weights: weights of
    mean 1 keep the unit.

    Works with `compile` and `fit`, without a `loss=`, and with `tfp_realnvp.training.train`. It reports `loss`, for
    images `bits_per_dim = loss / (D log 2)`, and `skipped_steps`, counted since the model was created. The loss is the
    mean over the epoch's steps that were not skipped, and NaN until there is one.

    The model tracks all variables of the distribution, Keras variables or not. To use a flow inside another Keras
    model, add it as a layer, `self.flow = nvp.FlowModel(distribution)`, whose call returns log-densities: Keras would
    not track the variables of a distribution attribute.

    Under a `tf.distribute` strategy, with the model created in its scope, a step uses the global batch: the loss and
    the gradient are averaged over all replicas before the gradient is clipped, and batch norm's moments are taken over
    all replicas.

    A step whose loss or gradient is not finite is skipped. It advances `optimizer.iterations` and `skipped_steps` and
    sets `last_step_finite` to False. Moving moments and averages do not change; neither do the weights and their
    moments with our `Adam`, while other optimizers receive a gradient of zeros. If networks compute in float16, the
    loss is scaled so that small gradients do not vanish; a step that overflows lowers the scale, and counts as skipped
    only if the scale cannot get lower.

    Args:
      distribution: a flow, for example from `real_nvp`.
      levels: number of levels of a pixel, see `dequantize`.
      classes: number of classes, for a flow with that `context_size` that is conditioned on class labels.
      l2: weight of the L2 regularizers above, 5e-5 in the authors' program; 0 for none.
      clip_norm: maximum global norm of the gradient, or None.
      dequantizer: a flow over the noise of integer images, see `tfp_realnvp.dequantizer`; None for uniform noise.
      columns: of a table with columns of several types, see `tfp_realnvp.columns.Columns`: events are its rows then,
        float32 `[batch, size]`, and the loss bounds `-log p(row)`.
      average_decay: decay of a moving average of all weights, kept in `average`; None for no average.
      seed: seed of the dequantisation.
      name: the model's name.

    Raises:
      TypeError: if the distribution is not a `FlowDistribution`.
      ValueError: if there is no variable to train, as in an export, whose networks are folded, if variables differ in
        dtype, if the dequantizer has another shape, or for a `clip_norm` that is not above 0.

    ```python
    model = nvp.FlowModel(nvp.real_nvp(event_shape=(8, 8, 1), levels=17))
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(images, batch_size=64)  # uint8 [n, 8, 8, 1]
    ```
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        *,
        levels: int = 256,
        classes: int | None = None,
        l2: float = 5e-5,
        clip_norm: float | None = 100.0,
        dequantizer: Dequantizer | None = None,
        columns: Columns | None = None,
        average_decay: float | None = None,
        seed: int = 0,
        name: str = "flow_model",
    ):
        super().__init__(
            distribution, levels=levels, classes=classes, dequantizer=dequantizer, columns=columns, seed=seed, name=name
        )
        if not self.distribution.variables and dequantizer is None:
            raise ValueError(
                "expected a distribution with variables to train, got one without: nvp.load returns folded "
                "networks; train the flow that was exported, from a checkpoint of its run"
            )
        if dequantizer is not None and not dequantizer.variables:
            raise ValueError(
                "expected a dequantizer with variables to train, got one without: nvp.load_dequantizer returns folded "
                "networks"
            )
        if clip_norm is not None and not clip_norm > 0:  # A negative one would turn the gradient round.
            raise ValueError(f"expected a clip_norm above 0 or None, got {clip_norm}")
        dtypes = {v.dtype for v in self.distribution.trainable_variables if v.dtype.is_floating}
        if len(dtypes) > 1:  # Gradients could not be clipped by their global norm.
            names = ", ".join(sorted(dtype.name for dtype in dtypes))
            raise ValueError(f"expected variables of the flow's dtype {self.distribution.dtype.name}, got {names}")
        set_l2(self.distribution, l2)
        self.clip_norm = clip_norm
        # Keras tracks layers and variables that are attributes, but does not look into a distribution.
        layers, variables = learned_layers(self.distribution.flow), [*self.distribution.variables]
        if dequantizer is not None:
            layers += learned_layers(dequantizer.flow)
            variables += dequantizer.variables
        of_keras = {id(variable.value) for variable in variables_of(layers)}
        self.learned_layers = layers + [as_keras_variable(v) for v in variables if id(v) not in of_keras]
        self.average = None if average_decay is None else WeightAverage(variables, average_decay)

        def counter(value: float, dtype: str, name: str) -> keras.Variable:
            # Each replica writes the same value to its own copy.
            return keras.Variable(value, dtype=dtype, trainable=False, autocast=False, name=name)

        self.last_step_finite = counter(True, "bool", "last_step_finite")
        self.last_gradient_norm = counter(0, "float32", "last_gradient_norm")
        self.skipped_steps = counter(0, "int64", "skipped_steps")
        is_half = any(_computes_in_half(layer) for layer in layers)
        self.loss_scale = counter(2.0**15, "float32", "loss_scale") if is_half else None
        self.steps_at_loss_scale = counter(0, "int64", "steps_at_loss_scale") if is_half else None
        self._accumulators: list[keras.Variable] | None = None
        self.built = True

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        return super().get_metrics_result() | {"skipped_steps": tf.identity(self.skipped_steps.value)}

    @property
    def counters(self) -> list[keras.Variable]:
        """Counters besides the optimizer's iterations that a resumed run must restore."""
        return [v for v in (self.skipped_steps, self.loss_scale, self.steps_at_loss_scale) if v is not None]

    def train_step(self, events: tf.Tensor, parts: int = 1) -> dict[str, tf.Tensor]:
        """One step of gradient descent on a batch; returns the running means of this epoch.

        Args:
          events: the batch, or its last part.
          parts: number of equal parts of the batch; `accumulate_step` was called with the other parts.
        """
        variables = self.trainable_variables
        loss, objective, gradients, moments = self._loss_and_gradients(events, (parts - 1, parts))
        if parts > 1:
            gradients = [(a.value + g) / parts for a, g in zip(self._made_accumulators(), gradients)]
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            # The mean over the global batch, before it is clipped: clipping is not linear.
            mean = tf.distribute.ReduceOp.MEAN
            loss, objective, *gradients = replica.all_reduce(mean, [loss, objective, *gradients], _IN_PACKS)
        if self.loss_scale is not None:
            gradients = [gradient / self.loss_scale.value for gradient in gradients]
        norm = tf.linalg.global_norm(with_vectors_joined(gradients)[0])
        finite = tf.math.is_finite(objective) & tf.math.is_finite(norm)
        scale = tf.ones_like(norm) if self.clip_norm is None else self.clip_norm / tf.maximum(norm, self.clip_norm)
        scale = tf.where(finite, scale, tf.zeros_like(scale))
        if isinstance(self.optimizer, Adam):
            self.optimizer.apply(_scaled(gradients, scale), variables, skip=~finite, reduced=True)
        else:
            scale /= replica.num_replicas_in_sync  # Keras sums the gradients of the replicas.
            self.optimizer.apply(_scaled(gradients, scale), variables)
        self._commit(moments, finite)
        if self.average is not None:
            self.average.update(self.optimizer.iterations - 1, skip=~finite)
        if parts > 1:
            for accumulator in self._made_accumulators():
                accumulator.assign(tf.zeros_like(accumulator.value))
        failed = self._count(finite, tf.math.is_finite(objective), norm)
        self._update_loss(loss, events, ~failed)
        return self.get_metrics_result()

    def accumulate_step(self, events: tf.Tensor, part: tf.Tensor, parts: int) -> None:
        """Accumulates the gradient of part number `part`, from 0, of a batch in `parts` equal parts.

        The last part goes to `train_step`, which makes one step with the mean of all gradients. Batch norm's moments
        come from each part alone, as for a batch of that size.
        """
        loss, objective, gradients, moments = self._loss_and_gradients(events, (part, parts))
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            loss, objective = replica.all_reduce(tf.distribute.ReduceOp.MEAN, [loss, objective])
        finite = tf.math.is_finite(objective)
        self._commit(moments, finite)
        for accumulator, gradient in zip(self._made_accumulators(), gradients):
            accumulator.assign_add(gradient)
        self._update_loss(loss, events, finite)

    def build_accumulators(self) -> None:
        """Creates the variables of `accumulate_step`, one copy per replica."""
        if self._accumulators is None:
            self._accumulators = [
                keras.Variable(
                    tf.zeros(variable.shape, variable.dtype),
                    dtype=variable.dtype,
                    trainable=False,
                    autocast=False,
                    synchronization="on_read",
                    aggregation="sum",
                    name="accumulator",
                )
                for variable in self.trainable_variables
            ]

    def _made_accumulators(self) -> list[keras.Variable]:
        if self._accumulators is None:
            raise RuntimeError("expected build_accumulators() before the first batch in parts")
        return self._accumulators

    def _loss_and_gradients(
        self, events: tf.Tensor, part: tuple[int | tf.Tensor, int]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], list[tuple[keras.Variable, tf.Tensor]]]:
        """Loss, objective, gradients (scaled if the loss is), and the pending values of batch norm's moments."""
        seed = self.noise_seed(self.optimizer.iterations)
        # Assignments stay in the scope until the step is known to be finite.
        with keras.StatelessScope(collect_losses=True) as scope, tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self.log_prob_of(events, training=True, seed=seed, part=part))
            penalties = [*regularization(self.trainable_variables), *scope.losses]
            objective = tf.add_n([loss, *(tf.cast(penalty, loss.dtype) for penalty in penalties)])
            scaled = objective if self.loss_scale is None else objective * self.loss_scale.value
        check_all_are_known(tape, self.variables)
        gradients = gradients_or_zeros(tape, scaled, self.trainable_variables)
        moved = [(variable, scope.get_current_value(variable)) for variable in self.non_trainable_variables]
        return loss, objective, gradients, [(variable, value) for variable, value in moved if value is not None]

    def _commit(self, moments: list[tuple[keras.Variable, tf.Tensor]], finite: tf.Tensor) -> None:
        now, separated = with_vectors_joined([tf.convert_to_tensor(variable.value) for variable, _ in moments])
        new, _ = with_vectors_joined([value for _, value in moments])
        values = separated([tf.where(finite, *pair) for pair in zip(new, now)])
        for (variable, _), value in zip(moments, values):
            variable.assign(value)

    def _count(self, finite: tf.Tensor, finite_objective: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Counts a step; returns whether it was skipped for a reason other than the loss scale."""
        self.last_step_finite.assign(finite)
        self.last_gradient_norm.assign(tf.cast(norm, tf.float32))
        failed = ~finite
        if self.loss_scale is not None and self.steps_at_loss_scale is not None:
            scale, steps = self.loss_scale.value, self.steps_at_loss_scale.value + 1
            failed &= ~finite_objective | (scale <= 1)  # Otherwise only the loss scale was too large.
            is_due = finite & (steps >= _LOSS_SCALE_PERIOD)
            lower, higher = tf.maximum(scale / 2, 1), tf.where(is_due, scale * 2, scale)
            self.loss_scale.assign(tf.where(finite, higher, lower))
            self.steps_at_loss_scale.assign(tf.where(finite & ~is_due, steps, tf.zeros_like(steps)))
        self.skipped_steps.assign_add(tf.cast(failed, tf.int64))
        return failed

    def _update_loss(self, loss: tf.Tensor, events: tf.Tensor, counts: tf.Tensor) -> None:
        number = tf.cast(tf.shape(unpacked(events)[0])[0], loss.dtype)
        nothing = tf.zeros_like(loss)
        self.loss_metric.update_state(tf.where(counts, loss, nothing), tf.where(counts, number, nothing))


def _scaled(gradients: list[tf.Tensor], scale: tf.Tensor) -> list[tf.Tensor]:
    joined, separated = with_vectors_joined(gradients)
    return separated([tf.math.multiply_no_nan(gradient, scale) for gradient in joined])  # 0 times NaN is 0.


def _computes_in_half(layer: keras.layers.Layer | keras.Variable) -> bool:
    return isinstance(layer, keras.layers.Layer) and layer.compute_dtype == "float16"
