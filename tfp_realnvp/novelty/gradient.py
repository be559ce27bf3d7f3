"""The norm of the gradient of a log-density."""

import math

import tensorflow as tf
import tensorflow_probability as tfp


def gradient_norm(
    distribution: tfp.distributions.Distribution, x: tf.Tensor, context: tf.Tensor | None = None
) -> tf.Tensor:
    """The norm of the gradient of the log-density with respect to an event.

        s(x) = |d log p(x) / dx|_2

    A typical event lies in a shell around the mode where |d log p / dx| varies little: sqrt(D) for a standard Gaussian,
    where the mode has 0. Both tails are therefore unusual. It costs one backward pass, and needs no gradient with
    respect to weights, so that it works for exports. Gradients of the unnormalised density are the "approximate mass"
    of Grathwohl et al., who take great norms for novel.

    It depends on the units of x, as a density does: an entry that is measured in units a thousand times larger has a
    thousand times the gradient, and decides the norm. For pixels, those next to black and white do, since the logit is
    steep there: a flow of MNIST finds no inverted and no blank images by it. It fails for novel events whose gradient
    has a usual norm but another direction: for a standard Gaussian it is |x|, and adds nothing to log p(x).

    Args:
      distribution: a flow, trained or loaded.
      x: events of real numbers `[..., *event_shape]`, such as dequantised images.
      context: context of a conditional flow, one row for each event; the density is then that given the context.

    Returns:
      `[...]`, nats per unit of x; NaN outside the support.

    ```python
    flow = nvp.load("digits")
    nvp.novelty.gradient_norm(flow, flow.sample(3, seed=0))  # [3]
    ```

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi, Swersky. Your classifier is secretly an energy based model and you
    should treat it like one. ICLR 2020. arXiv 1912.03263, section 5.3.
    """
    return log_prob_and_gradient_norm(distribution, tf.convert_to_tensor(x), context)[1]


def log_prob_and_gradient_norm(
    distribution: tfp.distributions.Distribution, x: tf.Tensor, context: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """`log p(x)` and `gradient_norm` of one evaluation."""
    given = {} if context is None else {"context": context}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        log_prob = distribution.log_prob(x, **given)
    # The density of a row does not depend on other rows, so the gradient of the sum has each row's.
    gradient = tape.gradient(log_prob, x)
    event_axes = list(range(-distribution.event_shape.rank, 0))
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=event_axes))
    # Flows give events outside the support finite gradients, so that they cannot spoil a training step.
    return log_prob, tf.where(tf.math.is_finite(log_prob), norm, tf.constant(math.nan, norm.dtype))
