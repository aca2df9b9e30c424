"""Whether the tensors of a file are those that llama.cpp asks for: src/llama-model-loader.cpp, create_tensor,
check_tensor_dims and done_getting_tensors."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from kvtui.model.tensor_table import TABLE

Dims = tuple[int, ...]

_ITEM = re.compile(r"(?P<name>[@\w.]+)(?P<optional>\?)?\[(?P<dims>[^]]+)\]")
# src/llama-model.cpp, load_tensors, the generic pass: weights beside which a scale may lie, one value a tensor or an expert
_SCALE = re.compile(
    r"(?P<base>output|blk\.\d+\.(?:attn_(?:q|k|v|output|qkv|gate)|ffn_(?:gate|down|up)(?P<experts>_exps)?(?:_shexp)?"
    r"|ssm_(?:in|out|alpha|beta)|nextn\.(?:eh_proj|shared_head_head)))\.(?:scale|input_scale)"
)
_MODEL = "model"
ANY = -1  # a size that is not checked


@dataclass(frozen=True)
class Sizes:
    """What the dimensions of a table's row stand for; counts of the first block, as LLAMA_LOAD_LOCALS (src/llama-model.h)."""

    embd: int
    vocab: int
    ctx: int
    heads: int
    heads_kv: int
    head_k: int
    q: int  # n_embd_head_k * n_head
    k: int  # n_embd_k_gqa
    v: int  # n_embd_v_gqa
    rot: int
    ff: int
    ff_exp: int
    ff_shexp: int
    experts: int
    n_shared: int  # experts that every token takes
    lora_kv: int
    labels: int  # of a classifier
    any: int = ANY


@dataclass(frozen=True)
class _Asked:
    name: str
    dims: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class _Record:
    parts: Mapping[str, tuple[_Asked, ...]]  # by when they are asked for
    closed: bool = True  # every tensor of the architecture is in it


@cache
def _records() -> Mapping[str, _Record]:
    found = {}
    for paragraph in TABLE.strip().split("\n\n"):
        names, _, rest = paragraph.partition("\n")
        starts = [m.start() for m in re.finditer(r"^\w+:", rest, re.MULTILINE)] + [len(rest)]
        lines = (rest[a:b].partition(":") for a, b in pairwise(starts))
        parts = {when: tuple(map(_asked, _ITEM.finditer(items))) for when, _, items in lines}
        record = _Record(parts, "open" not in parts)
        found.update(dict.fromkeys(names.split(), record))
    return found


def _asked(item: re.Match[str]) -> _Asked:
    name = item["name"]
    whole = name if name.startswith("@") or name.endswith((".bias", ".scales")) else f"{name}.weight"
    return _Asked(whole, tuple(item["dims"].split(",")), not item["optional"])


def _size(text: str, sizes: Sizes) -> int:
    """`a`, `a*b`, `a/2`, `a+b` and `a|b`, the second where the first is 0."""
    if "|" in text:
        return next(filter(None, (_size(x, sizes) for x in text.split("|"))), 0)
    if "+" in text:
        return sum(_size(x, sizes) for x in text.split("+"))
    if "*" in text:
        first, _, second = text.partition("*")
        return _size(first, sizes) * _size(second, sizes)
    if "/" in text:
        return _size(text.partition("/")[0], sizes) // int(text.partition("/")[2])
    return int(text) if text.isdecimal() else int(getattr(sizes, text))


def _qkv(asked: _Asked, prefix: str, there: Mapping[str, Dims]) -> Iterator[_Asked]:
    """create_tensor_qkv (src/llama-model.cpp)."""
    q, k, v = asked.dims
    one, bias = f"{q}+{k}+{v}", "attn_qkv.bias"
    separate = [_Asked(f"attn_{x}.bias", (n,), False) for x, n in zip("qkv", (q, k, v), strict=True)]
    if f"{prefix}attn_qkv.weight" in there:
        yield _Asked("attn_qkv.weight", ("embd", one), True)
        yield from [_Asked(bias, (one,), True)] if f"{prefix}{bias}" in there else separate
        return
    for x, n in zip("qkv", (q, k, v), strict=True):
        yield _Asked(f"attn_{x}.weight", ("embd", n), asked.required)
    yield from separate


def _whens(il: int, blocks: Sequence[bool], lead: int, sizes: Sizes) -> Iterator[str]:
    yield "block"
    yield "experts" if sizes.experts else "dense"
    if sizes.experts and sizes.ff_shexp:
        yield "shared"
    yield "lead" if il < lead else "after"
    if not blocks[il]:
        yield "attention"
    if len(blocks) >= 64:
        yield "deep"


def _all_asked(
    record: _Record, blocks: Sequence[bool], lead: int, sizes: Sizes, there: Mapping[str, Dims]
) -> Iterator[tuple[str, _Asked]]:
    """(name in the file, what is asked for), in the order in which llama.cpp asks."""
    for asked in record.parts[_MODEL]:
        yield asked.name, asked
    for il in range(len(blocks)):
        prefix = f"blk.{il}."
        for when in _whens(il, blocks, lead, sizes):
            for item in record.parts.get(when, ()):
                for asked in _qkv(item, prefix, there) if item.name == "@qkv" else (item,):
                    yield prefix + asked.name, asked


def has_rules(architecture: str) -> bool:
    """Whether the table knows tensors of this architecture."""
    return architecture in _records()


def has_all_rules(architecture: str) -> bool:
    """Whether it knows every one of them."""
    return has_rules(architecture) and _records()[architecture].closed


def misfit(
    architecture: str, blocks: Sequence[bool], lead: int, sizes: Sizes, there: Mapping[str, Dims]
) -> tuple[str, str] | None:
    """(code, sentence) of the first tensor for which llama.cpp would refuse to load the file, or None. `blocks`: of each block
    but MTP blocks whether it is recurrent; `lead`: dense blocks before those with experts; `there`: the file's tensors."""
    expected, record = set(), _records()[architecture]
    for name, asked in _all_asked(record, blocks, lead, sizes, there):
        expected.add(name)
        if name not in there:
            if asked.required:
                return "missing-tensor", f"tensor '{name}' not found"
            continue
        want = tuple(_size(d, sizes) for d in asked.dims)
        if wrong := wrong_shape(name, want, there[name]):
            return "wrong-shape", wrong
    for name, have in there.items() if record.closed else ():
        if name in expected:
            continue
        scale = _SCALE.fullmatch(name)
        weight = f"{scale['base']}.weight" if scale else ""
        if scale is None or weight not in expected or weight not in there:
            return "unused-tensor", f"tensor '{name}' is none of {architecture}'s: the number of tensors is wrong"
        if wrong := wrong_shape(name, (sizes.experts if scale["experts"] else 1,), have):
            return "wrong-shape", wrong
    return None


def is_scale(name: str) -> bool:
    """Whether the generic pass asks for it."""
    return _SCALE.fullmatch(name) is not None


def misfit_scale(there: Mapping[str, Dims], experts: int) -> str | None:
    """What is wrong with the first scale beside a weight, or None: the generic pass asks for them in every architecture."""
    for name, have in there.items():
        scale = _SCALE.fullmatch(name)
        if scale is None or f"{scale['base']}.weight" not in there:
            continue
        if wrong := wrong_shape(name, (experts if scale["experts"] else 1,), have):
            return wrong
    return None


def wrong_shape(name: str, want: Dims, have: Dims) -> str | None:
    """check_tensor_dims: dimensions that are not there count 1."""
    most = max(len(want), len(have))
    pairs = zip(want + (1,) * (most - len(want)), have + (1,) * (most - len(have)), strict=True)
    if all(w in (h, ANY) for w, h in pairs):
        return None
    return f"tensor '{name}' has wrong shape; expected {_text(want)}, got {_text(have)}"


def _text(dims: Dims) -> str:
    return "[" + ", ".join("any" if d == ANY else str(d) for d in dims) + "]"
