"""Feed-forward networks as src/llama-graph.cpp builds them: build_ffn, build_moe_ffn."""

from dataclasses import dataclass
from typing import Literal

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.tape import F32, I32, Node

Activation = Literal["silu", "gelu", "relu", "relu_sqr", "swiglu", "swiglu_oai", "xielu", "situ"]
Gating = Literal["softmax", "sigmoid", "softmax_weight", "sqrt_softplus"]
# expert_gating_func (llama-hparams.h, llama_expert_gating_func_type)
GATING: dict[int, Gating] = {1: "softmax", 2: "sigmoid", 3: "softmax_weight", 4: "sqrt_softplus"}

_NO_LIMIT = 1e-6  # llama-graph.cpp, build_ffn, build_moe_ffn: a limit below this is none
# where one operation does it (ggml_swiglu_clamp)
_LIMITED_IN_ONE = {
    "deepseek4": ("exp", "shexp"),
    "glm5-next": ("exp", "shexp"),
    "hy_v4": ("exp",),
    "maple": ("exp",),
}


def dense(g: Build, cur: Node, il: int, act: Activation = "silu", suffix: str = "", scales: bool = True) -> Node:
    """build_ffn with a gate beside `up` where the file has one. `suffix`: _shexp for shared experts; `scales`: whether
    the family hands on the tensors' scales."""
    widened = g.w(f"ffn_up{suffix}", il)
    up = _with_bias(g, g.mm(widened, cur), f"ffn_up{suffix}", il, scales) if widened is not None else cur
    gate = g.w(f"ffn_gate{suffix}", il)
    if gate is not None:
        gated = _with_bias(g, g.mm(gate, cur), f"ffn_gate{suffix}", il, scales)
        cur = _gated(g, gated, up, act, _limited(g, il, "shexp"))
    else:
        cur = _activate(g, up, act)
    down = g.w(f"ffn_down{suffix}", il)
    return _with_bias(g, g.mm(down, cur), f"ffn_down{suffix}", il, scales) if down is not None else cur


def halves(g: Build, cur: Node, il: int) -> Node:
    """build_ffn where `up` holds the gate too (LLM_FFN_SWIGLU, LLM_FFN_GEGLU)."""
    up = _with_bias(g, g.mm(g.w("ffn_up", il), cur), "ffn_up", il)
    return _with_bias(g, g.mm(g.w("ffn_down", il), g.glu(up)), "ffn_down", il)


def _with_bias(g: Build, cur: Node, role: str, il: int, scales: bool = True) -> Node:
    bias = g.w(role, il, "bias")
    cur = g.add(cur, bias) if bias is not None else cur
    scale = g.w(role, il, "scale") if scales else None
    return g.mul(cur, scale) if scale is not None else cur


def _limited(g: Build, il: int, what: str) -> bool:
    """Whether a block's swiglu is kept within a limit by operations of their own (swiglu_clamp_exp, swiglu_clamp_shexp)."""
    fused = _LIMITED_IN_ONE.get(g.model.architecture, ())
    return what not in fused and g.number_of(f"swiglu_clamp_{what}", il) > _NO_LIMIT


def _gated(g: Build, gate: Node, up: Node, act: Activation, limited: bool) -> Node:
    if act != "silu" or not limited:
        return g.glu(gate, up)
    up = g.clamp(up)
    return g.mul(g.clamp(g.unary("silu", gate)), up)


def situ(g: Build, gate: Node, up: Node) -> Node:
    """LLM_FFN_SITU: both within bounds (src/models/kimi-k3.cpp, kimi_k3_situ)."""
    act = g.mul(g.scale(g.unary("tanh", g.scale(gate))), g.unary("sigmoid", gate))
    if g.number("activation.situ_linear_beta") > 0:
        up = g.scale(g.unary("tanh", g.scale(up)))
    return g.mul(act, up)


def _activate(g: Build, cur: Node, act: Activation) -> Node:
    if act == "relu_sqr":
        return g.sqr(g.unary("relu", cur))
    if act == "swiglu":  # `up` holds the gate too
        return g.glu(cur)
    return g.unary(act, cur)


@dataclass(frozen=True)
class Routing:
    """How experts are chosen (build_moe_ffn's arguments)."""

    gating: Gating = "softmax"
    norm: bool = True  # weights sum up to one
    scaled: bool = False  # expert_weights_scale is neither 0 nor 1
    act: Activation = "silu"
    before: bool = False  # weights are applied to the input: llama4
    by_logits: bool = False  # chosen by the router's output itself: llama4
    by_sigmoid: bool = False  # chosen by the router's sigmoid, whatever weighs them: grovemoe
    exact: bool = False  # what the last product reads is not rounded to f16: no GPU does it (mistral4)
    scales: bool = True  # scales of the tensors are handed on


PLAIN = Routing()


def scaled(g: Build) -> bool:
    """Whether the header scales the experts' weights."""
    return g.number("expert_weights_scale") not in (0.0, 1.0)


def gating(g: Build, default: Gating) -> Gating:
    """What the header says of the router's output (expert_gating_func)."""
    return GATING.get(int(g.number("expert_gating_func")), default)


def moe(
    g: Build,
    cur: Node,
    il: int,
    routing: Routing,
    logits: Node | None = None,
    chosen: Node | None = None,
    suffix: str = "_exps",
    each: int = 1,
) -> Node:
    """build_moe_ffn. `logits`: the router's output where it is not ffn_gate_inp of `cur`; `chosen`: experts that are not
    chosen by it; `suffix`: which experts, `each`: how many of the router's share one of them."""
    n_embd, tokens = cur.ne[0], cur.ne[1]
    experts = g.model.n_expert
    used = min(int(g.number_of("expert_used_count", il)), experts // each)
    if logits is None:
        logits = g.mm(g.w("ffn_gate_inp", il), cur)
    bias = g.w("ffn_gate_inp", il, "bias")
    if bias is not None:
        logits = g.add(logits, bias)
    probs = _probs(g, logits, routing.gating)
    selection = probs
    probs_bias = next((w for x in ("bias", "weight", "") if (w := g.w("exp_probs_b", il, x)) is not None), None)
    if probs_bias is not None and chosen is None:
        selection = g.add(probs, probs_bias)
    if routing.by_logits:
        selection = logits
    if routing.by_sigmoid:
        selection = g.unary("sigmoid", logits)
    groups = int(g.number("expert_group_count"))
    if groups > 1:
        selection = _in_groups(g, selection, groups, experts, tokens)
    if chosen is None:
        chosen = g.argsort_top_k(selection, used)
        if each > 1:
            chosen = g.cast(g.scale(g.cast(chosen, F32)), I32)
    weights = g.get_rows(g.reshape(probs, 1, experts, tokens), chosen)
    if routing.gating == "softmax_weight":
        weights = g.reshape(g.soft_max(g.reshape(weights, used, tokens)), 1, used, tokens)
    if routing.norm:
        weights = g.reshape(weights, used, tokens)
        weights = g.reshape(g.div(weights, g.clamp(g.sum_rows(weights))), 1, used, tokens)
    if routing.scaled:
        weights = g.scale(weights)
    g.expand(weights)
    cur = g.reshape(cur, n_embd, 1, tokens)
    if routing.before:
        cur = g.mul(g.repeat(cur, n_embd, used, tokens), weights)
    hidden, down = _hidden(g, cur, il, chosen, routing, suffix), f"ffn_down{suffix}"
    out = g.mul_mat_id(g.need(down, il), hidden, chosen)
    out.exact = routing.exact
    out = _by_expert(g, out, down, il, chosen, routing.scales)
    out.name = "experts' outputs"
    if not routing.before:
        out = g.mul(out, weights)
    g.expand(out)
    return summed(g, out, (n_embd, tokens), (out.nb[0], out.nb[2]), used)


def _probs(g: Build, logits: Node, gating: Gating) -> Node:
    if gating == "softmax":
        return g.soft_max(logits)
    if gating == "sigmoid":
        return g.unary("sigmoid", logits)
    return logits if gating == "softmax_weight" else g.sqrt(g.unary("softplus", logits))


def _in_groups(g: Build, selection: Node, groups: int, experts: int, tokens: int) -> Node:
    """Only the experts of the best groups stay."""
    each, used = experts // groups, int(g.number("expert_group_used_count"))
    parts = g.reshape(selection, each, groups, tokens)
    best = g.get_rows(g.reshape(parts, 1, each, groups, tokens), g.argsort_top_k(parts, 2))
    scores = g.sum_rows(g.reshape(best, *best.ne[1:]))
    picked = g.argsort_top_k(g.reshape(scores, scores.ne[1], scores.ne[2]), used)
    kept = g.set_rows(g.fill(parts), g.get_rows(parts, picked), picked)
    return g.reshape(kept, experts, tokens)


def _by_expert(g: Build, cur: Node, role: str, il: int, chosen: Node, scales: bool, bias_role: str = "") -> Node:
    """A scale and a bias of each expert's own."""
    scale = g.w(role, il, "scale") if scales else None
    if scale is not None:
        n = scale.ne[0]
        cur = g.mul(cur, g.get_rows(g.repeat(g.reshape(scale, 1, n, 1), 1, n, g.tokens), chosen))
    bias = g.w(bias_role or role, il, "bias")
    return g.add_id(cur, bias, chosen) if bias is not None else cur


def _hidden(g: Build, cur: Node, il: int, chosen: Node, routing: Routing, suffix: str) -> Node:
    scales = routing.scales
    merged = g.w("ffn_gate_up_exps", il) if suffix == "_exps" else None
    if merged is not None:
        both = _by_expert(g, g.mul_mat_id(merged, cur, chosen), "ffn_up_exps", il, chosen, scales, "ffn_gate_up_exps")
        half = both.ne[0] // 2
        gate, up = (g.view(both, (half, *both.ne[1:3]), both.nb[:3], i * half * both.nb[0]) for i in (0, 1))
        return g.glu(gate, up)
    up = _by_expert(g, g.mul_mat_id(g.need(f"ffn_up{suffix}", il), cur, chosen), f"ffn_up{suffix}", il, chosen, scales)
    gate_w = g.w(f"ffn_gate{suffix}", il)
    if gate_w is None:
        return _activate(g, up, routing.act)
    gate = _by_expert(g, g.mul_mat_id(gate_w, cur, chosen), f"ffn_gate{suffix}", il, chosen, scales)
    if routing.act == "situ":
        return situ(g, gate, up)
    return _gated(g, gate, up, routing.act, _limited(g, il, "exp"))


def summed(g: Build, experts: Node, dims: tuple[int, ...], nb: tuple[int, ...], used: int) -> Node:
    """The sum of what the `used` experts of each token gave, each a view of `dims` and strides `nb`."""
    views = []
    for i in range(used):
        views.append(g.view(experts, dims, nb, i * experts.nb[1]))
        g.expand(views[-1])
    cur = views[0]
    for part in views[1:]:
        cur = g.add(cur, part)
        g.expand(cur)
    return g.cont(cur) if used == 1 else cur


def shared_or_dense(g: Build, cur: Node, il: int, routing: Routing) -> Node:
    """Experts where the block has a router, with shared experts where it has them; else a dense network."""
    if g.w("ffn_gate_inp", il) is None:
        return dense(g, cur, il, routing.act, scales=routing.scales)
    out = moe(g, cur, il, routing)
    if g.w("ffn_up_shexp", il) is not None:
        out = g.add(out, dense(g, cur, il, routing.act, "_shexp", routing.scales))
    return out
