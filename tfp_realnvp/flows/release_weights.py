"""Loads weights of the authors' TensorFlow 1 program into a flow with the same layout."""

import collections
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from tfp_realnvp.bijectors import BatchNorm, Bijector, Checkerboard, Coupling, Split
from tfp_realnvp.conditioners import ResidualNetwork
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.transformers import Affine


def load_release_weights(distribution: FlowDistribution, weights: Mapping[str, np.ndarray]) -> None:
    """Assigns the release's variables to a flow from `real_nvp`, in place.

    Names are `scale_k/coupling_i/...`; i counts from 0 for checkerboard couplings and from 4 for channel couplings.

    Args:
      distribution: an image flow in the release's layout: `real_nvp(...)` with the same event shape, scales, width and
        blocks, and everything else at its default. `use_skips=False` matches the release without skips.
      weights: arrays by the release's variable names.

    Raises:
      ValueError: for couplings of another kind; when a variable is missing, has another shape, or is left over. Nothing
        is assigned then.
    """
    wanted = dict(_named_variables(distribution.flow))
    missing, left_over = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    if missing or left_over:
        raise ValueError(
            f"expected {len(wanted)} release variables, got {len(weights)}; missing: {missing[:3]}, "
            f"not in the flow: {left_over[:3]}"
        )
    for name, variable in wanted.items():
        if tuple(variable.shape) != weights[name].shape:
            raise ValueError(f"expected {name} of shape {tuple(variable.shape)}, got {weights[name].shape}")
    for name, variable in wanted.items():
        variable.assign(weights[name])


def _named_variables(flow: Bijector) -> Iterator[tuple[str, keras.Variable]]:
    counts: collections.Counter[tuple[int, bool]] = collections.Counter()
    prefix = ""
    for leaf in flow.leaves():
        layer = leaf.bijector
        if isinstance(layer, Coupling):
            if not (isinstance(layer.transformer, Affine) and isinstance(layer.conditioner, ResidualNetwork)):
                raise ValueError(f"expected affine couplings with residual networks, got {layer.describe()}")
            scale, is_checkerboard = sum(isinstance(b, Split) for b in leaf.path), isinstance(layer.mask, Checkerboard)
            prefix = f"scale_{scale}/coupling_{counts[scale, is_checkerboard] + (0 if is_checkerboard else 4)}"
            counts[scale, is_checkerboard] += 1
            yield f"{prefix}/{'rescaling_scale' if is_checkerboard else 'scale'}", layer.transformer.gain
            yield from _network_variables(prefix, layer.conditioner)
        elif isinstance(layer, BatchNorm):
            yield f"{prefix}/bn_out/mean", layer.moving_mean
            yield f"{prefix}/bn_out/var", layer.moving_variance


def _network_variables(prefix: str, network: ResidualNetwork) -> Iterator[tuple[str, keras.Variable]]:
    norms = {f"{prefix}/bn_in": network.norm_in, f"{prefix}/resnet/bn_pre_out": network.norm_out}
    convolutions = {f"{prefix}/resnet/h_in": network.conv_in, f"{prefix}/resnet/out": network.conv_out}
    for i in range(network.blocks):
        norms[f"{prefix}/resnet/block_{i}/bn_in"] = network.norms_1[i]
        norms[f"{prefix}/resnet/block_{i}/bn_0"] = network.norms_2[i]
        convolutions[f"{prefix}/resnet/block_{i}/h_0"] = network.convs_1[i]
        convolutions[f"{prefix}/resnet/block_{i}/out"] = network.convs_2[i]
    for i, skip in enumerate(network.skips):
        convolutions[f"{prefix}/resnet/skip_{i - 1 if i else 'in'}"] = skip
    for name, norm in norms.items():
        yield f"{name}/beta", norm.beta
        yield f"{name}/mean", norm.moving_mean
        yield f"{name}/var", norm.moving_variance
    for name, convolution in convolutions.items():
        of_convolution = dict(weights=convolution.direction, magnitude=convolution.magnitude, biases=convolution.bias)
        yield from ((f"{name}/{key}", variable) for key, variable in of_convolution.items() if variable is not None)
