"""GGUF files in which every field can be made to lie, and the cases that a real llama-server and kvtui must judge alike."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FORMATS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", I64: "<q", F64: "<d"}
BLOCKS = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}  # values, bytes a block
ALIGNMENT = 32


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


@dataclass
class Tensor:
    """`offset` None: behind the tensor before it."""

    name: bytes
    dims: list[int]
    kind: int = 0
    offset: int | None = None

    @property
    def n_bytes(self) -> int:
        count = 1
        for d in self.dims:
            count *= d
        values, size = BLOCKS.get(self.kind, (1, 4))
        return count // values * size


@dataclass
class Gguf:
    """Keys in order: (name, type, bytes of the value)."""

    keys: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    version: int = 3
    n_keys: int | None = None
    n_tensors: int | None = None
    alignment: int = ALIGNMENT

    def key(self, name: str, kind: int, value: Any) -> "Gguf":
        """Sets a key; an array is (type of its elements, values)."""
        self.keys = [k for k in self.keys if k[0] != name.encode()]
        self.keys.append((name.encode(), kind, encoded(kind, value)))
        return self

    def without(self, name: str) -> "Gguf":
        self.keys = [k for k in self.keys if k[0] != name.encode()]
        return self

    def tensor(self, name: str, *dims: int, kind: int = 0) -> "Gguf":
        self.tensors.append(Tensor(name.encode(), list(dims), kind))
        return self

    def drop(self, start: str) -> "Gguf":
        self.tensors = [t for t in self.tensors if not t.name.startswith(start.encode())]
        return self

    def named(self, name: str) -> Tensor:
        return next(t for t in self.tensors if t.name == name.encode())

    def shape(self, name: str, *dims: int) -> "Gguf":
        self.named(name).dims = list(dims)
        return self

    def head(self) -> tuple[bytes, int]:
        """(the header, bytes of tensor data)."""
        out = [b"GGUF", struct.pack("<I", self.version)]
        out.append(struct.pack("<Q", len(self.tensors) if self.n_tensors is None else self.n_tensors))
        out.append(struct.pack("<Q", len(self.keys) if self.n_keys is None else self.n_keys))
        out += [text(name) + struct.pack("<I", kind) + value for name, kind, value in self.keys]
        at = 0
        for t in self.tensors:
            dims = struct.pack(f"<{len(t.dims)}Q", *t.dims)
            offset = at if t.offset is None else t.offset
            out.append(text(t.name) + struct.pack("<I", len(t.dims)) + dims + struct.pack("<IQ", t.kind, offset % 2**64))
            at += -(-t.n_bytes // self.alignment) * self.alignment
        return b"".join(out), at

    def write(self, path: Path) -> Path:
        """A sparse file with room for the data."""
        head, data = self.head()
        path.write_bytes(head)
        with path.open("r+b") as file:
            file.truncate(-(-len(head) // self.alignment) * self.alignment + min(data, 1 << 40))
        return path


def encoded(kind: int, value: Any) -> bytes:
    if kind == STR:
        return text(value if isinstance(value, bytes) else value.encode())
    if kind == ARR:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(encoded(inner, v) for v in values)
    return struct.pack(FORMATS[kind], value)


def parsed(data: bytes) -> Gguf:
    """The header of a sound file."""
    at = 24

    def take(form: str) -> Any:
        nonlocal at
        at += struct.calcsize(form)
        return struct.unpack_from(form, data, at - struct.calcsize(form))[0]

    def string() -> bytes:
        nonlocal at
        n = take("<Q")
        at += n
        return data[at - n : at]

    def skip(kind: int) -> None:
        nonlocal at
        if kind == STR:
            string()
        elif kind == ARR:
            inner, count = take("<I"), take("<Q")
            if inner == STR:
                for _ in range(count):
                    string()
            else:
                at += count * struct.calcsize(FORMATS[inner])
        else:
            at += struct.calcsize(FORMATS[kind])

    n_tensors, n_keys = struct.unpack_from("<QQ", data, 8)
    found = Gguf()
    for _ in range(n_keys):
        name, kind = string(), take("<I")
        start = at
        skip(kind)
        found.keys.append((name, kind, data[start:at]))
    for _ in range(n_tensors):
        name = string()
        dims = [take("<Q") for _ in range(take("<I"))]
        kind = take("<I")
        take("<Q")
        found.tensors.append(Tensor(name, dims, kind))
    return found


def small(architecture: str = "llama", blocks: int = 2, experts: int = 0) -> Gguf:
    """A model of 64 values a token, 4 heads, 128 in the FFN and 100 tokens that llama-server loads."""
    g = Gguf().key("general.architecture", STR, architecture).key("general.name", STR, "small")
    sizes = {"block_count": blocks, "context_length": 4096, "embedding_length": 64, "feed_forward_length": 128}
    sizes |= {"attention.head_count": 4, "attention.head_count_kv": 2, "vocab_size": 100}
    sizes |= {"expert_count": experts, "expert_used_count": 2} if experts else {}
    for name, value in sizes.items():
        g.key(f"{architecture}.{name}", U32, value)
    g.key(f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5).key("tokenizer.ggml.model", STR, "no_vocab")
    g.tensor("token_embd.weight", 64, 100).tensor("output_norm.weight", 64).tensor("output.weight", 64, 100)
    for b in (f"blk.{i}." for i in range(blocks)):
        g.tensor(b + "attn_norm.weight", 64).tensor(b + "attn_q.weight", 64, 64).tensor(b + "attn_k.weight", 64, 32)
        g.tensor(b + "attn_v.weight", 64, 32).tensor(b + "attn_output.weight", 64, 64).tensor(b + "ffn_norm.weight", 64)
        if experts:
            g.tensor(b + "ffn_gate_inp.weight", 64, experts)
        name, more = ("_exps", (experts,)) if experts else ("", ())
        g.tensor(f"{b}ffn_gate{name}.weight", 64, 128, *more).tensor(f"{b}ffn_down{name}.weight", 128, 64, *more)
        g.tensor(f"{b}ffn_up{name}.weight", 64, 128, *more)
    return g


@dataclass(frozen=True)
class Case:
    """`taken`: whether llama-server loads it; `since`: the build from which on it judges so."""

    name: str
    make: Callable[[], Gguf]
    taken: bool = False
    since: int = 0

    def __str__(self) -> str:
        return self.name


def _offset(index: int, offset: int) -> Gguf:
    g = small()
    g.tensors[index].offset = offset
    return g


def _names(kind: int, *, aligned: int = ALIGNMENT) -> Gguf:
    g = small().key("general.alignment", kind, aligned)
    g.alignment = aligned or 1
    return g


def _twice(g: Gguf) -> Gguf:
    g.keys.append(g.keys[1])
    return g


def _moe(**keys: int) -> Gguf:
    g = small(experts=8)
    for name, value in keys.items():
        g.key(f"llama.{name}", U32, value)
    return g


def _raw(kind: int, value: bytes) -> Gguf:
    g = small()
    g.keys.append((b"a.b", kind, value))
    return g


def _counts(n_keys: int | None = None, n_tensors: int | None = None, version: int = 3) -> Gguf:
    g = small()
    g.n_keys, g.n_tensors, g.version = n_keys, n_tensors, version
    return g


def _dense_with_experts() -> Gguf:
    return small().key("llama.expert_count", U32, 8).key("llama.expert_used_count", U32, 2)


CASES = (
    Case("sound", small, taken=True),
    Case("sound, experts", lambda: small(experts=8), taken=True),
    Case("tied output", lambda: small().drop("output.weight"), taken=True),
    Case("optional biases", lambda: small().tensor("blk.0.attn_q.bias", 64).tensor("blk.1.ffn_up.bias", 128), taken=True),
    Case("a scale beside a weight", lambda: small().tensor("blk.0.attn_q.scale", 1), taken=True),
    Case("alignment 64", lambda: _names(U32, aligned=64), taken=True),
    Case("version 2", lambda: _counts(version=2), taken=True),
    Case("trailing dimensions of 1", lambda: small().shape("blk.0.attn_norm.weight", 64, 1, 1, 1), taken=True),
    Case("a name of 40 kB", lambda: small().key("general.name", STR, "n" * 40_000), taken=True),
    Case("a tokenizer of its own", lambda: small().key("tokenizer.ggml.model", STR, "none"), taken=True),
    Case("heads in an array", lambda: small().key("llama.attention.head_count_kv", ARR, (I32, [2, 2])), taken=True),
    # ggml/src/gguf.cpp
    Case("version 1", lambda: _counts(version=1)),
    Case("version 4", lambda: _counts(version=4)),
    Case("more keys than there are", lambda: _counts(n_keys=40)),
    Case("2^63 keys", lambda: _counts(n_keys=2**63)),
    Case("more tensors than there are", lambda: _counts(n_tensors=2**40)),
    Case("a key twice", lambda: _twice(small())),
    Case("an empty key", lambda: small().key("", U32, 1)),
    Case("a key of type 13", lambda: _raw(13, bytes(8))),
    Case("an array of arrays", lambda: _raw(ARR, struct.pack("<IQ", ARR, 1) + struct.pack("<IQI", U32, 1, 0))),
    Case("2^60 strings", lambda: _raw(ARR, struct.pack("<IQ", STR, 2**60))),
    Case("2^60 numbers", lambda: _raw(ARR, struct.pack("<IQ", U32, 2**60))),
    Case("a string of 2^62 bytes", lambda: _raw(STR, struct.pack("<Q", 2**62))),
    Case("alignment of type bool", lambda: _names(BOOL, aligned=1)),
    Case("alignment of type u64", lambda: _names(U64)),
    Case("alignment 0", lambda: _names(U32, aligned=0)),
    Case("alignment 48", lambda: _names(U32, aligned=48)),
    Case("a tensor's name of 64 bytes", lambda: small().tensor("x" * 64, 64)),
    Case("a tensor twice", lambda: small().tensor("output_norm.weight", 64)),
    Case("five dimensions", lambda: small().shape("output_norm.weight", 64, 1, 1, 1, 1)),
    Case("a negative dimension", lambda: small().tensor("zz", 2**63 + 5, 0)),
    Case("2^64 values", lambda: small().tensor("zz", 2**32, 2**32)),
    Case("tensor type 43", lambda: small().tensor("zz", 64, kind=43)),
    Case("tensor type 4, which is gone", lambda: small().tensor("zz", 64, kind=4)),
    Case("rows of half a block", lambda: small().tensor("zz", 48, kind=8)),
    Case("a scalar of a quantized type", lambda: small().tensor("zz", kind=8)),
    Case("offsets that overlap", lambda: _offset(5, 0)),
    Case("an offset that wraps", lambda: _offset(0, 2**64 - 32)),
    Case("a gap between tensors", lambda: _offset(20, 2**20)),
    # src/llama-model-loader.cpp, get_key and get_arr
    Case("block_count of type i32", lambda: small().key("llama.block_count", I32, 2)),
    Case("context_length of type u64", lambda: small().key("llama.context_length", U64, 4096)),
    Case("head_count of type i32", lambda: small().key("llama.attention.head_count", I32, 4)),
    Case("heads in an array of floats", lambda: small().key("llama.attention.head_count_kv", ARR, (F32, [2.0, 2.0]))),
    Case("heads in an array too long", lambda: small().key("llama.attention.head_count_kv", ARR, (I32, [2, 2, 2]))),
    Case("an epsilon of type f64", lambda: small().key("llama.attention.layer_norm_rms_epsilon", F64, 1e-5)),
    Case("no epsilon", lambda: small().without("llama.attention.layer_norm_rms_epsilon")),
    Case("no context_length", lambda: small().without("llama.context_length")),
    Case("a name that is a number", lambda: small().key("general.name", U32, 5)),
    Case("freq_base of type f64", lambda: small().key("llama.rope.freq_base", F64, 1e4)),
    # src/llama-model.cpp, load_hparams
    Case("an architecture nobody knows", lambda: small("brandnew")),
    Case("an empty architecture", lambda: small("")),
    Case("gptj, a name without a model", lambda: small("gptj")),
    Case("no architecture", lambda: small().without("general.architecture")),
    Case("513 blocks", lambda: small().key("llama.block_count", U32, 513)),
    Case("no blocks", lambda: small().key("llama.block_count", U32, 0)),
    Case("more MTP blocks than blocks", lambda: small().key("llama.nextn_predict_layers", U32, 3), since=11434),
    Case("2000 experts", lambda: small(experts=2000)),
    Case("more experts used than there are", lambda: _moe(expert_used_count=9)),
    Case("no expert used", lambda: _moe(expert_used_count=0)),
    Case("experts used, and there are none", lambda: small().key("llama.expert_used_count", U32, 2)),
    Case("as many groups as experts", lambda: _moe(expert_group_count=8, expert_group_used_count=2)),
    Case("groups that do not divide the experts", lambda: _moe(expert_group_count=3, expert_group_used_count=2)),
    Case("all groups used", lambda: _moe(expert_group_count=4, expert_group_used_count=4)),
    Case("rope dimensions that are no head", lambda: small().key("llama.rope.dimension_count", U32, 8)),
    Case("an unknown rope scaling", lambda: small().key("llama.rope.scaling.type", STR, "circular")),
    # src/llama-vocab.cpp
    Case("no tokenizer", lambda: small().without("tokenizer.ggml.model")),
    Case("an unknown tokenizer", lambda: small().key("tokenizer.ggml.model", STR, "words")),
    Case("a tokenizer without tokens", lambda: small().key("tokenizer.ggml.model", STR, "llama")),
    Case("no vocabulary's size", lambda: small().without("llama.vocab_size")),
    # create_tensor, check_tensor_dims, done_getting_tensors
    Case("no tensors", lambda: small().drop("")),
    Case("a block is missing", lambda: small().drop("blk.1.")),
    Case("attn_k is missing", lambda: small().drop("blk.0.attn_k.")),
    Case("output_norm is missing", lambda: small().drop("output_norm.")),
    Case("token_embd is missing", lambda: small().drop("token_embd.")),
    Case("experts' ffn_up is missing", lambda: small(experts=8).drop("blk.1.ffn_up_exps")),
    Case(
        "dense FFN where experts should be",
        lambda: small().key("llama.expert_count", U32, 8).key("llama.expert_used_count", U32, 2),
    ),
    Case("attn_q of another shape", lambda: small().shape("blk.0.attn_q.weight", 1, 1)),
    Case("attn_v of another shape", lambda: small().shape("blk.1.attn_v.weight", 64, 64)),
    Case("attn_output of another shape", lambda: small().shape("blk.1.attn_output.weight", 64, 32)),
    Case("ffn_down the other way round", lambda: small().shape("blk.1.ffn_down.weight", 64, 128)),
    Case("token_embd of another vocabulary", lambda: small().shape("token_embd.weight", 64, 99)),
    Case("output of another vocabulary", lambda: small().shape("output.weight", 64, 101)),
    Case("an expert too few", lambda: small(experts=8).shape("blk.0.ffn_up_exps.weight", 64, 128, 7)),
    Case("a bias of another length", lambda: small().tensor("blk.0.attn_q.bias", 63)),
    Case("a tensor of block 9999", lambda: small().tensor("blk.9999.ffn_up.weight", 64, 128)),
    Case("a tensor of the block after the last", lambda: small().tensor("blk.2.ffn_up.weight", 64, 128)),
    Case("a block's number of 40 digits", lambda: small().tensor(f"blk.{'9' * 40}.ffn_up.weight", 64, 128)),
    Case("a tensor that no model has", lambda: small().tensor("blk.0.surprise.weight", 64)),
    Case("attn_qkv beside attn_q", lambda: small().tensor("blk.0.attn_qkv.weight", 64, 128)),
    Case("an expert's tensor in a dense model", lambda: small().tensor("blk.0.ffn_up_exps.weight", 64, 128, 8)),
    Case("2^32-1 heads of K/V", lambda: small().key("llama.attention.head_count_kv", U32, 2**32 - 1)),
)
