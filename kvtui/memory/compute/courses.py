"""Compute buffers of one model at many contexts: what was found at one says what they are at the others (stretch.py: the
graph, course.py: where tensors go), as long as the same is decided there. Elsewhere the graph is run at each."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from kvtui.flags.context import CELL_STEP
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute.course import Course, course_of
from kvtui.memory.compute.engine import Engine, Inputs
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.graphs import Reach, graph_of, reach_of
from kvtui.memory.compute.sched import DECIDED, Schedule, schedule, sizes_of
from kvtui.memory.compute.shapes import Shapes


@dataclass(frozen=True)
class Stretches(Engine):
    """As its base, for many contexts and placements: what graphs are built of is known between contexts."""

    def _graph(self, sizes: Shapes, blocks: tuple[int, ...], named: bool = False) -> Graph:
        if named or self.drafts or not self._alike:
            return super()._graph(sizes, blocks, named)
        return graph_of(self.model, sizes, blocks, over=True)

    def _whole(self, sizes: Shapes) -> Graph:
        """The main context's graph of all blocks."""
        if not self._alike:
            return super()._whole(sizes)
        return graph_of(self.model, sizes, tuple(range(self.model.n_layer)), over=True)


@dataclass(frozen=True)
class Courses(Stretches):
    """As its base, for many contexts and few placements: so is where tensors go."""

    def peak_of(self, assignment: Assignment, blocks: tuple[int, ...], prompt: bool, alone: bool) -> list[int]:
        """Bytes of every back end's buffer for one graph."""
        sizes = self.shapes(prompt, alone)
        reach = None if self.drafts or not self._alike else reach_of(self.model, sizes, blocks)
        course = None if reach is None else _course(self._anywhere, assignment, blocks, reach)
        if reach is None or course is None:
            return super().peak_of(assignment, blocks, prompt, alone)
        return course.peaks((sizes.cells - reach.low.cells) // CELL_STEP)

    def _strays(self, assignment: Assignment) -> bool:
        """As its base; which operations follow each other is the same at every context."""
        return super()._strays(assignment) if self.context.n_ctx == 0 else _strays(self._anywhere, assignment)

    def _copies_caches(self, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
        """As its base; which kernels there are is the same at every context."""
        here = self.context.n_ctx == 0
        return super()._copies_caches(assignment, blocks) if here else _copies(self._anywhere, assignment, blocks)

    def _ends_with_flash(self, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
        """As its base, for the same reason."""
        here = self.context.n_ctx == 0
        return super()._ends_with_flash(assignment, blocks) if here else _flash(self._anywhere, assignment, blocks)

    @cached_property
    def _anywhere(self) -> "Courses":
        """The same whatever the context."""
        return replace(self, context=replace(self.context, n_ctx=0))


@lru_cache(maxsize=64)
def _strays(engine: Courses, assignment: Assignment) -> bool:
    return engine._strays(assignment)


@lru_cache(maxsize=256)
def _copies(engine: Courses, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
    return engine._copies_caches(assignment, blocks)


@lru_cache(maxsize=256)
def _flash(engine: Courses, assignment: Assignment, blocks: tuple[int, ...]) -> bool:
    return engine._ends_with_flash(assignment, blocks)


@lru_cache(maxsize=256)
def _course(engine: Courses, assignment: Assignment, blocks: tuple[int, ...], reach: Reach) -> Course | None:
    """The course of one placement; None where there is none."""
    low, high = (engine.inputs(assignment, blocks, sizes) for sizes in (reach.low, reach.high))
    if (low.sizes, high.sizes) != (reach.low, reach.high):  # without flash attention, which is another graph
        found = reach_of(engine.model, high.sizes, blocks)
        if found is None or (low.sizes, high.sizes) != (found.low, found.high):
            return None
        reach = found
    key = (engine.model, reach.key, blocks, tuple(low.homes), tuple(low.pins), low.ends)
    planned = _scheduled(_Asked(key, low, high))
    if planned is None:
        return None
    return _of_sizes(planned, *[_placed_sizes(planned, x, engine.n - 1) for x in (low, high)], reach.steps, engine.alignments)


def _placed_sizes(planned: Schedule, x: Inputs, cpu: int) -> tuple[int, ...]:
    """Bytes of what the allocator places: caches and views of them take none of its memory, whatever their type."""
    plan = planned.plan
    sizes = sizes_of(x.graph, plan.buffer, planned.copy_of, cpu, x.extra)
    return tuple([0 if away or root >= 0 else n for n, away, root in zip(sizes, plan.external, plan.roots, strict=True)])


@dataclass(frozen=True)
class _Asked:
    """What two graphs are scheduled by, from which types of caches and sizes are left out."""

    key: Hashable
    low: Inputs = field(compare=False)
    high: Inputs = field(compare=False)


@lru_cache(maxsize=64)
def _scheduled(asked: _Asked) -> Schedule | None:
    """The schedule at both ends; None where they differ."""
    low, high = (schedule(x.graph, x.homes, x.pins, x.ends, x.extra) for x in (asked.low, asked.high))
    alike = all(getattr(low.plan, name) == getattr(high.plan, name) for name in DECIDED)
    return low if alike and low.copy_of == high.copy_of else None


@lru_cache(maxsize=128)
def _of_sizes(
    planned: Schedule, low: tuple[int, ...], high: tuple[int, ...], steps: int, alignments: tuple[int, ...]
) -> Course | None:
    """One for all pairs of types that need the same memory."""
    return course_of(planned.plan, low, high, steps, alignments)
