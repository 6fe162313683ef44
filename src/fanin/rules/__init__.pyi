"""The rules, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from fanin.rules.adapters import lora as lora
from fanin.rules.attention import mimetic as mimetic
from fanin.rules.attention import qkv_blocks as qkv_blocks
from fanin.rules.constant import constant as constant
from fanin.rules.constant import dirac as dirac
from fanin.rules.constant import identity as identity
from fanin.rules.constant import ones as ones
from fanin.rules.constant import zeros as zeros
from fanin.rules.conventions import goog_normal as goog_normal
from fanin.rules.conventions import selu_normal as selu_normal
from fanin.rules.convolution_aware import convolution_aware as convolution_aware
from fanin.rules.depth_scaled import depth_scaled as depth_scaled
from fanin.rules.depth_scaled import full_megatron as full_megatron
from fanin.rules.depth_scaled import gpt2_residual as gpt2_residual
from fanin.rules.depth_scaled import mitchell as mitchell
from fanin.rules.depth_scaled import small_init as small_init
from fanin.rules.depth_scaled import wang as wang
from fanin.rules.embeddings import embedding_normal as embedding_normal
from fanin.rules.embeddings import embedding_scaled as embedding_scaled
from fanin.rules.embeddings import embedding_tied as embedding_tied
from fanin.rules.embeddings import embedding_uniform as embedding_uniform
from fanin.rules.gate_biases import chrono as chrono
from fanin.rules.gate_biases import forget_bias as forget_bias
from fanin.rules.gate_biases import linspace_bias as linspace_bias
from fanin.rules.gated import attention_logits as attention_logits
from fanin.rules.gated import gated_normal as gated_normal
from fanin.rules.gated import gated_out_normal as gated_out_normal
from fanin.rules.head_bias import class_prior as class_prior
from fanin.rules.head_bias import focal_prior as focal_prior
from fanin.rules.identity_like import hadamard as hadamard
from fanin.rules.identity_like import idinit as idinit
from fanin.rules.identity_like import zero_hadamard as zero_hadamard
from fanin.rules.lru import lru_gamma as lru_gamma
from fanin.rules.lru import lru_nu as lru_nu
from fanin.rules.lru import lru_theta as lru_theta
from fanin.rules.mamba import mamba_a_log as mamba_a_log
from fanin.rules.mamba import mamba_dt_bias as mamba_dt_bias
from fanin.rules.mamba import mamba_dt_weight as mamba_dt_weight
from fanin.rules.mirrored import mirrored as mirrored
from fanin.rules.moe import experts as experts
from fanin.rules.moe import router as router
from fanin.rules.orthogonal import delta_orthogonal as delta_orthogonal
from fanin.rules.orthogonal import orthogonal as orthogonal
from fanin.rules.orthogonal import scaled_uniform_orthogonal as scaled_uniform_orthogonal
from fanin.rules.parametrization import mup as mup
from fanin.rules.parametrization import ntk as ntk
from fanin.rules.parametrization import standard as standard
from fanin.rules.parametrization import umup as umup
from fanin.rules.plain import normal as normal
from fanin.rules.plain import normal_between as normal_between
from fanin.rules.plain import truncated_normal as truncated_normal
from fanin.rules.plain import uniform as uniform
from fanin.rules.positions import learned_positions as learned_positions
from fanin.rules.positions import sinusoid as sinusoid
from fanin.rules.recurrent import gate_blocks as gate_blocks
from fanin.rules.recurrent import irnn as irnn
from fanin.rules.registry import RuleInfo as RuleInfo
from fanin.rules.registry import explain as explain
from fanin.rules.registry import get as get
from fanin.rules.registry import load_all as load_all
from fanin.rules.registry import parse as parse
from fanin.rules.registry import table as table
from fanin.rules.reshaped import dks as dks
from fanin.rules.reshaped import tat as tat
from fanin.rules.residual import fixup as fixup
from fanin.rules.residual import layer_scale as layer_scale
from fanin.rules.residual import rezero as rezero
from fanin.rules.residual import skipinit as skipinit
from fanin.rules.residual import stable_resnet as stable_resnet
from fanin.rules.residual import zero_gamma as zero_gamma
from fanin.rules.rule import Rule as Rule
from fanin.rules.rule import rule as rule
from fanin.rules.scaled import he_normal as he_normal
from fanin.rules.scaled import he_uniform as he_uniform
from fanin.rules.scaled import lecun_normal as lecun_normal
from fanin.rules.scaled import lecun_uniform as lecun_uniform
from fanin.rules.scaled import normal_fan as normal_fan
from fanin.rules.scaled import uniform_fan as uniform_fan
from fanin.rules.scaled import variance_scaling as variance_scaling
from fanin.rules.scaled import xavier_normal as xavier_normal
from fanin.rules.scaled import xavier_uniform as xavier_uniform
from fanin.rules.signal import stft as stft
from fanin.rules.siren import siren as siren
from fanin.rules.siren import siren_first as siren_first
from fanin.rules.sparse import sparse as sparse
from fanin.rules.sparse import sparse_connections as sparse_connections
from fanin.rules.state_space import dplr as dplr
from fanin.rules.state_space import hippo_legs as hippo_legs
from fanin.rules.state_space import hippo_legs_input as hippo_legs_input
from fanin.rules.state_space import s4_log_dt as s4_log_dt
from fanin.rules.state_space import s4d as s4d
from fanin.rules.structured import impulse_attention as impulse_attention
from fanin.rules.transformer import admin as admin
from fanin.rules.transformer import deepnorm as deepnorm
from fanin.rules.transformer import subln as subln
from fanin.rules.transformer import t_fixup as t_fixup
from fanin.rules.upsampling import bilinear_upsample as bilinear_upsample
from fanin.rules.vision import vit as vit

bias_prior = focal_prior
bilinear = bilinear_upsample
caffe2_xavier = lecun_uniform
eye = identity
glorot_normal = xavier_normal
glorot_uniform = xavier_uniform
glu_in = gated_normal
glu_out = gated_out_normal
goog = goog_normal
kaiming_normal = he_normal
kaiming_uniform = he_uniform
layerscale = layer_scale
looks_linear = mirrored
magneto = subln
megatron_scaled = gpt2_residual
ntk_parametrization = ntk
olmo_megatron = full_megatron
orthogonal_gates = gate_blocks
random_normal = normal
random_uniform = uniform
snn_normal = selu_normal
standard_parametrization = standard
suo = scaled_uniform_orthogonal
switch_router = router
tfixup = t_fixup
trunc_normal = truncated_normal
u_mup = umup
wang_init = wang
zer_o = zero_hadamard
