"""Compute buffers of one model at many contexts: what was found at one says what they are at the others (stretch.py: the
graph, course.py: where tensors go), as long as the same is decided there. Elsewhere the graph is run at each."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from kvtui.flags.context import CELL_STEP
from kvtui.memory.assignment import Assignment
from kvtui.memory.compute.build import Shapes
from kvtui.memory.compute.course import Course, course_of
from kvtui.memory.compute.engine import Engine, Inputs
from kvtui.memory.compute.graph import Graph
from kvtui.memory.compute.graphs import Reach, graph_of, reach_of
from kvtui.memory.compute.sched import DECIDED, Schedule, schedule, sizes_of


@dataclass(frozen=True)
class Courses(Engine):
    """As its base, for many contexts."""

    def _graph(self, sizes: Shapes, blocks: tuple[int, ...], named: bool = False) -> Graph:
        if named or self.drafts or not self._alike:
            return super()._graph(sizes, blocks, named)
        return graph_of(self.model, sizes, blocks, over=True)

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

    @cached_property
    def _anywhere(self) -> "Courses":
        """The same whatever the context."""
        return replace(self, context=replace(self.context, n_ctx=0))


@lru_cache(maxsize=64)
def _strays(engine: Courses, assignment: Assignment) -> bool:
    return engine._strays(assignment)


@lru_cache(maxsize=256)
def _course(engine: Courses, assignment: Assignment, blocks: tuple[int, ...], reach: Reach) -> Course | None:
    """The course of one placement; None where there is none."""
    low = engine.inputs(assignment, blocks, reach.low)
    if low.sizes != reach.low:  # without flash attention, which is another graph
        found = reach_of(engine.model, low.sizes, blocks)
        if found is None:
            return None
        reach = found
    high = engine.inputs(assignment, blocks, reach.high)
    key = (engine.model, reach.key, blocks, tuple(low.homes), tuple(low.pins), low.ends)
    planned = _scheduled(_Asked(key, low, high))
    if planned is None:
        return None
    sizes = [tuple(sizes_of(x.graph, planned.plan.buffer, planned.copy_of, engine.n - 1, x.extra)) for x in (low, high)]
    return _of_sizes(planned, *sizes, reach.steps, engine.alignments)


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
