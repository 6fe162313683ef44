"""Signal propagation predicted from the laws of the weights: no framework, no model, only a `Trace` or a formula.

`predict` follows a traced model op by op. The others are the theory by itself: Gaussian moments of any activation (`moments`,
`pair_moments`), mean-field maps with their fixed points (`fixed_point`, `critical_point`, …), fluctuations at finite width
(`log_norm`), Jacobians (`jacobian_spectrum`) and kernels (`nngp_kernel`, `ntk_kernel`). What is measured on a PyTorch model to compare
them with is in `fanin.theory.measured_torch`.
"""

from fanin.theory.attention_maps import Attention, attention, participation
from fanin.theory.conv_maps import conv_depth_scales, conv_variance_map, kernel_shares
from fanin.theory.finite_width import LogNorm, critical_or_gain, layer_constant, log_gradient_norm, log_norm
from fanin.theory.fixed_points import FixedPoint, critical_point, fixed_point, phase_boundary
from fanin.theory.integrals import GaussianMoments, moments
from fanin.theory.jacobian import JacobianSpectrum, jacobian_spectrum
from fanin.theory.kernels import nngp_kernel, ntk_kernel
from fanin.theory.maps import (
    Signals,
    correlation_map,
    gradient_covariance_map,
    gradient_map,
    signals,
    variance_map,
)
from fanin.theory.norm_maps import NormLayer, norm_layer, weight_standardised
from fanin.theory.pairs import PairMoments, pair_moments
from fanin.theory.prediction import Prediction, predict
from fanin.theory.residual_maps import Stream, branch_scale, residual
from fanin.theory.spheres import sphere_moments

__all__ = [
    # a traced model
    "Prediction", "predict",
    # integrals
    "GaussianMoments", "moments", "PairMoments", "pair_moments",
    # dense layers, wide
    "variance_map", "correlation_map", "gradient_map", "gradient_covariance_map", "Signals", "signals",
    "FixedPoint", "fixed_point", "critical_point", "phase_boundary",
    # other layers, wide
    "Stream", "residual", "branch_scale", "NormLayer", "norm_layer", "sphere_moments", "weight_standardised",
    "conv_variance_map", "conv_depth_scales", "kernel_shares", "Attention", "attention", "participation",
    # of finite width
    "LogNorm", "log_norm", "log_gradient_norm", "layer_constant", "critical_or_gain",
    # matrices
    "JacobianSpectrum", "jacobian_spectrum", "nngp_kernel", "ntk_kernel",
]  # fmt: skip
