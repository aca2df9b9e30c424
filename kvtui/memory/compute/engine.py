"""Compute buffers by derivation: the graph of a model's family through llama.cpp's scheduler and allocator."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from kvtui.base.build import DEFAULT_BUILD
from kvtui.base.build import Build as LlamaBuild
from kvtui.cache.kernels import Attention, Batch, Card, choose
from kvtui.cache.layout import flash_attention, physical_batch
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute.alloc import Peak, allocate
from kvtui.memory.compute.collapse import kinds, representatives, sequence
from kvtui.memory.compute.f16_copies import f16_copies
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.graphs import build_graph, families, graph_of, left_to_cpu
from kvtui.memory.compute.rules import RULES
from kvtui.memory.compute.sched import OFFLOAD_ROWS, Backends, Schedule, schedule
from kvtui.memory.compute.sched import assign as place
from kvtui.memory.compute.shapes import Shapes, shapes
from kvtui.memory.compute.tape import ATTENDED, CACHE, LAYER_WEIGHT, OUTPUT_WEIGHT, WEIGHT
from kvtui.memory.compute.terms import Term, terms
from kvtui.memory.expert_cache import CACHED_BATCH, expert_cache
from kvtui.model.spec import ModelSpec

COPIES = 4  # ggml-backend.cpp, GGML_SCHED_MAX_COPIES
DEVICE_ALIGNMENT, HOST_ALIGNMENT = 128, 32  # of what has no rules; ggml-impl.h, TENSOR_ALIGNMENT
_SMALL_BATCH = 32  # llama-context.cpp, graph_get_cb: smaller batches keep every norm on its block's device


_MANY_ROWS = 16  # a prompt's rows for each of a token's: no block is so many times wider than it is long


@lru_cache(maxsize=1024)
def _has_kernel(card: Card, attention: Attention, batch: Batch) -> bool:
    return choose(card, attention, batch).kernel != "none"


class Inputs(NamedTuple):
    """Of the scheduler. `sizes`: what the graph was built of; `extra`: (back end, operation) -> bytes beside its output."""

    sizes: Shapes
    graph: Graph
    homes: list[int]
    pins: list[tuple[int, int]]
    ends: Backends
    extra: dict[tuple[int, int], int]


@dataclass(frozen=True)
class Engine:
    """Compute buffers of one model under one context on one machine."""

    model: ModelSpec
    context: ContextParams
    machine: Machine
    fa_quants: tuple[str, ...] | None = None  # pairs that the binary has kernels for; None: the default set
    drafts: bool = False  # the MTP context of the model, not its main one
    build: LlamaBuild = DEFAULT_BUILD

    def shapes(self, prompt: bool, alone: bool = False) -> Shapes:
        """What a graph is reserved for, with flash attention where it was not turned off beforehand."""
        return self._shapes(flash_attention(self.model, self.context), prompt, alone)

    def _shapes(self, flash: bool, prompt: bool, alone: bool = False) -> Shapes:
        return shapes(self.model, self.context, flash, prompt, alone, self.build)

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """The devices as the kernels' table knows them."""
        return tuple([Card(d.backend or "unknown", d.compute_capability, self.fa_quants) for d in self.machine.devices])

    @cached_property
    def n(self) -> int:
        """Back ends: the devices and the CPU."""
        return len(self.machine.devices) + 1

    def pipelined(self, assignment: Assignment) -> bool:
        """llama-context.cpp, llama_context: several devices opened, all blocks and the output on devices, no override,
        no expert cache."""
        return (
            self.n > 2
            and all(d.backend in RULES for d in self.machine.devices)
            and CPU not in assignment.layer_devices
            and not assignment.overridden
            and self.context.offload_kqv
            and not self.context.expert_cache_mib
        )

    @cached_property
    def _known(self) -> dict[Hashable, tuple[int, ...]]:
        """Peaks by what was asked for."""
        return {}

    @cached_property
    def _loose(self) -> tuple[int, ...]:
        """Tensors of no block."""
        return tuple([t.index for t in self.model.tensors if t.loaded and t.block is None])

    def peaks(self, assignment: Assignment) -> tuple[int, ...]:
        """Bytes of every back end's buffer, the CPU's last: the larger of what the prompt's graph and a token's need."""
        if self.drafts:
            return self._draft_peaks(assignment)
        places = assignment.tensor_devices
        keys = sequence(self.model, assignment.layer_devices, places)
        blocks = representatives(keys, self._turns) if self._repeats else tuple(range(self.model.n_layer))
        asked = (
            tuple([keys[i] for i in blocks]),
            tuple([places[i] for i in self._loose]),
            assignment.layer_devices[-1],
            assignment.tied_output,
            CPU in assignment.layer_devices,
            self.pipelined(assignment),
            tuple(self._cached(assignment, physical_batch(self.model, self.context))),
        )
        if asked not in self._known:
            if self._copies_caches(assignment, blocks):
                blocks = tuple(range(self.model.n_layer))
            self._known[asked] = self.peaks_of(assignment, blocks)
        return self._known[asked]

    @cached_property
    def _drafting(self) -> tuple[int, ...]:
        """MTP blocks."""
        return tuple([x.index for x in self.model.layers if x.drafts])

    @cached_property
    def _draft_tensors(self) -> tuple[int, ...]:
        """Tensors of MTP blocks."""
        return tuple([t.index for t in self.model.tensors if t.loaded and t.block is not None and t.block >= self.model.n_layer])

    def _draft_peaks(self, assignment: Assignment) -> tuple[int, ...]:
        """The same of the MTP context, which knows the model's other blocks by where they are alone."""
        places = assignment.tensor_devices
        asked = (
            tuple([places[i] for i in self._loose]),
            tuple([places[i] for i in self._draft_tensors]),
            assignment.layer_devices[self.model.n_layer :],
            assignment.tied_output,
            CPU in assignment.layer_devices,
            self.pipelined(assignment),
        )
        if asked not in self._known:
            self._known[asked] = self.peaks_of(assignment, self._drafting)
        return self._known[asked]

    def terms(self, assignment: Assignment) -> tuple[tuple[Term, ...], ...]:
        """The peaks by what is alive, a back end each: of the graph that needs most there."""
        blocks = self._drafting if self.drafts else tuple(range(self.model.n_layer))
        graphs = self._graphs(assignment, blocks)
        peaks = [self.run(assignment, blocks, prompt, alone)[2] for prompt, alone in graphs]
        largest = [max(range(len(graphs)), key=lambda i: peaks[i][b].n_bytes) for b in range(self.n)]
        found: dict[int, tuple[tuple[Term, ...], ...]] = {}
        for i in set(largest):
            prompt, alone = graphs[i]
            g, planned, seen = self.run(assignment, blocks, prompt, alone, watch=[p.step for p in peaks[i]], named=True)
            found[i] = tuple([terms(g, planned, p) for p in seen])
        return tuple([found[i][b] for b, i in enumerate(largest)])

    def peaks_of(self, assignment: Assignment, blocks: tuple[int, ...]) -> tuple[int, ...]:
        """The same of these blocks alone."""
        peaks = [self.peak_of(assignment, blocks, prompt, alone) for prompt, alone in self._graphs(assignment, blocks)]
        return tuple([max(x) for x in zip(*peaks, strict=True)])

    def peak_of(self, assignment: Assignment, blocks: tuple[int, ...], prompt: bool, alone: bool) -> list[int]:
        """The same of one graph."""
        return [x.n_bytes for x in self.run(assignment, blocks, prompt, alone)[2]]

    def _graphs(self, assignment: Assignment, blocks: tuple[int, ...]) -> list[tuple[bool, bool]]:
        """What is reserved for, where it may need most: (prompt or token, of one slot)."""
        token = [(False, False)] if self._token_counts(assignment, blocks) else []
        return [(True, False), *token, *([(True, True)] if self._alone else [])]

    def dry_run_peaks(self, assignment: Assignment) -> tuple[int, ...]:
        """`peaks` as the server's own dry run has them: of the prompt's graph, and nothing stays where it was put
        (ggml-backend.cpp, ggml_backend_sched_reserve_size, resets the scheduler once the graph is built)."""
        blocks = self._drafting if self.drafts else tuple(range(self.model.n_layer))
        return tuple([x.n_bytes for x in self.run(assignment, blocks, prompt=True, pinned=False)[2]])

    @cached_property
    def _repeats(self) -> bool:
        # caches in RAM are copied for every block: what one leaves behind is not what it found
        if not self.context.offload_kqv or not self._alike:
            return False
        # nor are copies for what no GPU runs, where several batches are under way
        blocks = representatives([k.shape for k in kinds(self.model)], self._turns)
        return not left_to_cpu(self.model, self.shapes(prompt=True), blocks)

    def _graph(self, sizes: Shapes, blocks: tuple[int, ...], named: bool = False) -> Graph:
        if named or self.drafts or not self._alike:
            return build_graph(self.model, sizes, blocks, self.drafts)
        return graph_of(self.model, sizes, blocks)

    @cached_property
    def _alike(self) -> bool:
        """Whether equal blocks are built alike."""
        return families()[self.model.architecture].repeats(self.model)

    @cached_property
    def _alone(self) -> bool:
        """Whether a batch of one slot is reserved for too (`Family.alone`)."""
        architecture = self.model.architecture
        return self.context.slots > 1 and architecture in families()[architecture].alone

    @cached_property
    def _turns(self) -> int:
        """Turns of a run that are built (`Family.turns`)."""
        return families()[self.model.architecture].turns

    def _token_counts(self, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
        """Whether a token's graph may need more anywhere: its rows are few, but what is left to the CPU there is taken to
        the first device for a prompt; without flash attention that holds scores of all heads."""
        few = physical_batch(self.model, self.context) < _MANY_ROWS * self.context.slots
        return few or (CPU in assignment.layer_devices and not self._ends_with_flash(assignment, blocks))

    def _ends_with_flash(self, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
        """Whether flash attention is on in the graphs that memory is reserved for."""
        flash = flash_attention(self.model, self.context)
        if not flash or not self._may_turn_off:
            return flash
        g = self._graph(self._shapes(flash, prompt=True), blocks)
        return not self._turned_off(g, assignment) and not self._strays(assignment)

    def run(
        self,
        assignment: Assignment,
        blocks: tuple[int, ...],
        prompt: bool,
        alone: bool = False,
        watch: Sequence[int] = (),
        named: bool = False,
        pinned: bool = True,
    ) -> tuple[Graph, Schedule, list[Peak]]:
        """One graph, scheduled and allocated. `alone`: a prompt of one slot; `named`: its nodes are each block's own;
        `pinned`: what llama.cpp puts somewhere by itself stays there."""
        x = self.inputs(assignment, blocks, self.shapes(prompt, alone), named)
        planned = schedule(x.graph, x.homes, x.pins if pinned else [], x.ends, x.extra)
        return x.graph, planned, allocate(planned.plan, self.alignments, watch)

    @cached_property
    def alignments(self) -> tuple[int, ...]:
        """Of every back end's buffer, bytes."""
        rules = [RULES.get(d.backend) for d in self.machine.devices]
        return (*[DEVICE_ALIGNMENT if r is None else r.alignment for r in rules], HOST_ALIGNMENT)

    def inputs(self, assignment: Assignment, blocks: tuple[int, ...], sizes: Shapes, named: bool = False) -> Inputs:
        """What the scheduler gets of a graph of `sizes`, or of one without flash attention where that is turned off."""
        g = self._graph(sizes, blocks, named)
        if self._turned_off(g, assignment) or self._strays(assignment):
            sizes = replace(sizes, flash=False)
            g = self._graph(sizes, blocks, named)
        homes, ends = self._homes(g, assignment, sizes.tokens), self._ends(g, assignment)
        pins, extra = self._pins(g, assignment, sizes.tokens), f16_copies(self.cards, g, homes, ends)
        return Inputs(sizes, g, homes, pins, ends, extra)

    def _ends(self, g: Graph, assignment: Assignment) -> Backends:
        cpu = self.n - 1
        rules = [RULES.get(d.backend) for d in self.machine.devices]
        return Backends(
            n=self.n,
            copies=COPIES if self.pipelined(assignment) else 1,
            offloads=frozenset(i for i, r in enumerate(rules) if r is not None and r.stages and self.context.op_offload),
            fuses=frozenset(i for i, r in enumerate(rules) if r is not None and r.fuses),
            refuses=(*[self._refuses(g, device) for device in range(cpu)], frozenset()),
            idle_inputs=self.build.has("idle_inputs"),
            keeps=self.build.has("kept_for_kernels"),
        )

    def _refuses(self, g: Graph, device: int) -> frozenset[int]:
        """Operations that a device has no kernel for."""
        without = [i for (a, batch), ids in g.kernels.items() if not _has_kernel(self.cards[device], a, batch) for i in ids]
        rules = RULES.get(self.machine.devices[device].backend)
        left = g.left_to_cpu if rules is None or rules.refuses else frozenset[int]()
        return left.union(without) if without else left

    def _pins(self, g: Graph, assignment: Assignment, tokens: int) -> list[tuple[int, int]]:
        """Norms that stay on their block's device; and where attention ends, without flash attention: in RAM where K/V is
        (llama-graph.cpp, build_attn_mha)."""
        layers = assignment.layer_devices
        ends = {i for i, _ in g.pinned if g.nodes[i].name == ATTENDED}
        pins = [] if self.context.offload_kqv else [(i, self.n - 1) for i in ends]
        if CPU in layers and tokens >= _SMALL_BATCH:
            return pins
        return [*pins, *[(i, layers[il] % self.n) for i, il in g.pinned if i not in ends]]

    def _turned_off(self, g: Graph, assignment: Assignment) -> bool:
        """Whether -fa auto ends with flash attention off: a block's device has no kernel (llama-context.cpp,
        resolve_fused_ops). Quantised V is read by nothing else: it keeps it on."""
        if not self._may_turn_off:
            return False
        return self._refused(g, assignment)

    def _refused(self, g: Graph, assignment: Assignment) -> bool:
        """Whether a block's device has no kernel for its attention."""
        homes = assignment.layer_devices
        return any(
            device != CPU and not _has_kernel(self.cards[device], attention, batch)
            for (attention, batch), ids in g.kernels.items()
            for device in {homes[g.attention[i].block] for i in ids}
        )

    def _copies_caches(self, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
        """Whether attention is left to the CPU, which then copies every block's cache: no block stands for another."""
        flash = flash_attention(self.model, self.context)
        if not flash or len(blocks) == self.model.n_layer:
            return False
        g = self._graph(self._shapes(flash, prompt=True), blocks)
        return self._refused(g, assignment) and not self._turned_off(g, assignment)

    @cached_property
    def _may_turn_off(self) -> bool:
        return self.context.flash_attn == "auto" and not CACHE_TYPES[self.context.type_v].quantized

    def _strays(self, assignment: Assignment) -> bool:
        """The same where a block's device has the kernel, but another takes the operation, as those of its neighbours in the
        graph do (ggml-backend.cpp, ggml_backend_sched_split_graph)."""
        if not self._may_turn_off or not self._may_stray(assignment):
            return False
        layers = assignment.layer_devices
        asked = (layers, assignment.tensor_devices, assignment.tied_output)
        if asked not in self._strayed:
            sizes = self._shapes(True, prompt=False)
            # the main context's, for an MTP context too: flash attention ends in both
            g = self._whole(sizes)
            homes, pins = self._homes(g, assignment, sizes.tokens), self._pins(g, assignment, sizes.tokens)
            at = place(g, homes, pins, self._ends(g, assignment))
            self._strayed[asked] = any(at[i] != layers[self._block_of(g, i)] % self.n for i in g.attention)
        return self._strayed[asked]

    def _block_of(self, g: Graph, i: int) -> int:
        """The block of an attention operation: of the cache that it reads, or of the weights that its K is made of."""
        if g.attention[i].block >= 0:
            return g.attention[i].block
        made = g.nodes[i].src[1]
        while made.home is None:
            made = made.src[0]
        return self.model.tensors[made.home.number].block or 0

    def _whole(self, sizes: Shapes) -> Graph:
        """The main context's graph of all blocks."""
        return build_graph(self.model, sizes, tuple(range(self.model.n_layer)))

    def _may_stray(self, assignment: Assignment) -> bool:
        """What K and V are stored by comes right before attention and is where the block is, if its cache is on a device: no
        other takes it. Else it follows what comes next: the block's own weights, unless one of them was moved or a batch of
        tokens is large enough to be taken to a device, or a scan of the next block. What is attended to beside the batch has
        many rows, whatever is asked."""
        layers, blocks, places = assignment.layer_devices, self.model.layers, assignment.tensor_devices
        architecture = self.model.architecture
        if CPU in layers and (self.context.slots >= OFFLOAD_ROWS or architecture in families()[architecture].across):
            return True
        loose = {il for il, x in enumerate(blocks) if layers[il] == CPU or not self.context.offload_kqv or not x.has_cache}
        return any(places[i] != layers[il] for i, il in self._of_blocks if il in loose) or any(
            layers[il] == CPU != layers[il + 1] and blocks[il].has_cache and blocks[il + 1].is_recurrent
            for il in range(self.model.n_layer - 1)
        )

    @cached_property
    def _of_blocks(self) -> tuple[tuple[int, int], ...]:
        """(tensor, block) of the weights of blocks, but MTP's."""
        blocks = ((t.index, t.block) for t in self.model.tensors if t.loaded)
        return tuple([(i, il) for i, il in blocks if il is not None and il < self.model.n_layer])

    @cached_property
    def _strayed(self) -> dict[Hashable, bool]:
        return {}

    def _cached(self, assignment: Assignment, tokens: int) -> dict[int, int]:
        """Tensors of experts that a batch of so many tokens reads from the expert cache, and its device."""
        if not self.context.expert_cache_mib or self.drafts or tokens > CACHED_BATCH:
            return {}
        cache = expert_cache(self.model, assignment, self.machine, self.context.expert_cache_mib)
        return cache.read_by(tokens, self.model.n_expert_used)

    def _homes(self, g: Graph, assignment: Assignment, tokens: int) -> list[int]:
        cached = self._cached(assignment, tokens)
        homes = [-1] * len(g.nodes)
        layers, n = assignment.layer_devices, self.n
        output = layers[-1] if assignment.tied_output is None else assignment.tied_output
        for i, kind, number in g.homes:
            if kind == WEIGHT:
                home = cached.get(number, assignment.tensor_devices[number])
            elif kind == LAYER_WEIGHT:
                home = layers[number]
            elif kind == OUTPUT_WEIGHT:
                home = output
            else:
                assert kind == CACHE
                home = layers[number] if self.context.offload_kqv else CPU
            homes[i] = home % n
        return homes
