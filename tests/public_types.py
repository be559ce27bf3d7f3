"""What a type checker knows of the public names; mypy reads this, nothing runs it."""

from typing import assert_type

import numpy as np

import tfp_realnvp as nvp


def factories_return_a_flow_distribution() -> None:
    assert_type(nvp.real_nvp(event_shape=(8, 8, 3)), nvp.FlowDistribution)
    assert_type(nvp.glow(event_shape=(8, 8, 3), steps=2), nvp.FlowDistribution)
    assert_type(nvp.maf(event_shape=6), nvp.FlowDistribution)
    assert_type(nvp.planar(event_shape=[2]), nvp.FlowDistribution)
    assert_type(nvp.standardized(nvp.nsf(event_shape=2), [0.0, 1.0], np.ones(2)), nvp.FlowDistribution)
    assert_type(nvp.load("served/mine"), nvp.FlowDistribution)
    assert_type(nvp.dequantizer(event_shape=(8, 8, 1)), nvp.Dequantizer)


def wrong_arguments_are_errors() -> None:
    nvp.real_nvp(event_shape="8x8")  # type: ignore[arg-type]
    nvp.real_nvp((8, 8, 3))  # type: ignore[call-arg]
    nvp.bijectors.Squeeze(order=2)  # type: ignore[arg-type]
    nvp.real_nvpp(event_shape=6)  # type: ignore[attr-defined]
    nvp.FlowModel(nvp.data.load("digits"))  # type: ignore[arg-type]


def others() -> None:
    assert_type(nvp.summary(nvp.naf(event_shape=3)), str)
    assert_type(nvp.FlowEstimator(max_steps=10), nvp.FlowEstimator)
    assert_type(nvp.data.load("digits"), nvp.data.Events)
    assert_type(nvp.evaluate(nvp.nice(event_shape=2), [np.zeros([3, 2])]), nvp.evaluation.Score)
    assert_type(nvp.columns.infer({"height": np.array([1.7, 1.6])}), nvp.columns.Columns)
    assert_type(nvp.inference.fit_posterior(np.zeros([9, 2]), np.zeros([9, 1])), nvp.inference.Posterior)
    nvp.dequantize(np.zeros([2, 2], np.uint8), seed=(0, 0))
