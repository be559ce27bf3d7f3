"""The assignment of latent entries to scales."""

from collections.abc import Sequence

import numpy as np

from tfp_realnvp.bijectors import Bijector, Chain, Split, Squeeze


def split_orders(flow: Bijector) -> tuple[str, ...]:
    """The `order` of the squeeze that is undone after each split of an image flow, from finest to coarsest scale.

    The orders determine at which scale a latent entry is final, see `scale_of_latents`; a flow with n scales has n - 1.
    Takes `real_nvp(...).flow` or `load(...).flow`.

    Raises:
      ValueError: if layers other than an unsqueeze follow a split, or an export does not record the orders.

    ```python
    split_orders(nvp.real_nvp(event_shape=(8, 8, 1), scales=2).flow)  # ("diagonal",)
    ```
    """
    if hasattr(flow, "split_orders"):
        if flow.split_orders is None:
            raise ValueError(
                "expected an export that records how its latents are split, got an older one, or one of a flow with "
                "layers other than an unsqueeze after a split"
            )
        return tuple(flow.split_orders)
    orders, leaves = [], list(flow.leaves())
    for place, leaf in enumerate(leaves):
        is_split = isinstance(leaf.bijector, Split)
        if is_split:
            within = leaf.path[-1] if any(isinstance(part, Chain) for part in leaf.path[-2:-1]) else None
        else:
            within = leaf.bijector if any(isinstance(part, Split) for part in leaf.bijector.submodules) else None
        if within is not None:
            raise ValueError(f"expected splits among the layers of a chain, got one within {within.name}")
        if is_split:
            # Only the layers after the split determine where latents lie.
            after = [other for other in leaves[place + 1 :] if other.path == leaf.path]
            if len(after) != 1 or not (after[0].is_inverse and isinstance(after[0].bijector, Squeeze)):
                names = ", ".join(other.describe() for other in after) or "none"
                raise ValueError(f"expected only an unsqueeze after a split, got {names} in {flow.name}")
            orders.append(after[0].bijector.order)
    return tuple(orders)


def scale_of_latents(shape: Sequence[int], orders: Sequence[str]) -> np.ndarray:
    """The index of the scale at which each latent entry is final: 0 for the finest, len(orders) for the coarsest.

        s(shape, ()) = 0
        s(shape, (o_1, o_2, ...)) = unsqueeze_{o_1}(1 + s(half, (o_2, ...)), 0)

    where `half` is the shape of the first half of the channels after the squeeze.

    Args:
      shape: `[height, width, channels]` of the latent, and of the result.
      orders: the flow's `split_orders`.

    Raises:
      ValueError: if the shape cannot be halved that often.

    ```python
    scale_of_latents((2, 2, 1), ("diagonal",))[..., 0]  # [[1, 0], [0, 1]]: the diagonal continues
    ```
    """
    scales = np.zeros(shape, np.int32)
    if not orders:
        return scales
    squeeze = Squeeze(orders[0])
    height, width, channels = squeeze.forward_event_shape(shape)
    goes_on = 1 + scale_of_latents([height, width, channels // 2], orders[1:])
    both = np.concatenate([goes_on, np.zeros_like(goes_on)], -1)
    return squeeze.inverse_and_log_det(both[np.newaxis].astype(np.float32))[0][0].numpy().astype(np.int32)
