"""What each pane says, as lines: pure functions of the state and the room."""

from kvtui.base.sizes import gib
from kvtui.cache.layout import cache_layout
from kvtui.hardware.device import CPU
from kvtui.memory.estimate import DeviceMemory
from kvtui.memory.refusals import equal_types_needed
from kvtui.placement.table import PairRow
from kvtui.report.columns import app_heading, app_row
from kvtui.tui.draw.pinned import cursor_lines, pin_row
from kvtui.tui.draw.server_pages import log_line
from kvtui.tui.lines import Line, Span, both_ends, fit, line, width_of, window
from kvtui.tui.state import SEARCHING, State

_GIB = 2**30
# a segment of a bar: its letter, so that it reads without colour, and its style
SEGMENTS = (("other", "#"), ("weights", "="), ("kv", "+"), ("compute", "%"), ("free", "."), ("margin", "-"))
_LETTER = dict(SEGMENTS)


def title(state: State, pane: str, number: int, text: str, right: Line, width: int) -> Line:
    """` 1 memory    ...`: highlighted where the keys go."""
    style = "title-focus" if state.focus == pane else "title"
    return both_ends(line((f" {number} {text} ", style)), right, width)


def head_lines(state: State, width: int) -> list[Line]:
    """Model, architecture, size, and what the figures rest on."""
    model = state.request.model
    kind = " MLA" if model.is_mla else ""
    kind += f" {model.n_expert_used}/{model.n_expert} experts" if model.n_expert else ""
    left = line(
        (" kvtui  ", "accent"),
        (f"{model.name}  ", "strong"),
        f"{model.architecture}{kind}  {model.n_layer_all} layers  {gib(model.weights_bytes)}",
    )
    if not state.server.running:
        return [both_ends(left, line((f"{state.server.text or state.build or state.request.build} ", "dim")), width)]
    status = line((f" {state.server.status} ", "accent"))  # a running server's state comes first: the rest gives way
    room = max(width - width_of(status), 0)
    return [(*fit(left, room), *fit(status, min(width - room, width)))]


def bar(parts: dict[str, int], total: int, width: int) -> tuple[Span, ...]:
    """A bar of `width` columns; each part that is not empty gets its share, rounded by running sums."""
    spans: list[Span] = []
    done, at = 0, 0
    for name, letter in SEGMENTS:
        done += max(parts.get(name, 0), 0)
        end = min(round(done / total * width), width) if total else 0
        if end > at:
            spans.append((letter * (end - at), name))
            at = end
    if at < width:
        spans.append((" " * (width - at), "text"))
    return tuple(spans)


def _device_parts(use: DeviceMemory, total: int, free: int, margin: int, others: int) -> dict[str, int]:
    compute = use.compute_bytes + use.overhead_bytes
    left = max(total - others - use.used_bytes, 0)
    kept = min(margin, left)
    return {
        "other": others,
        "weights": use.weights_bytes,
        "kv": use.cache_bytes + use.recurrent_bytes,
        "compute": compute,
        "free": left - kept,
        "margin": kept,
    }


def memory_lines(state: State, width: int, height: int) -> list[Line]:
    """A bar a device: others, weights, K/V, compute, free, margin; RAM last."""
    machine, plan = state.request.machine, state.plan
    legend = tuple(s for name, letter in SEGMENTS[:5] for s in ((f"{letter}", name), (f"{name} ", "dim")))
    kind = "memory, simulated" if state.simulated else "memory"
    lines = [title(state, "memory", 1, kind, legend, width)]
    rows = len(machine.devices) + 1
    shown = window(rows, max(height - 1, 1), 0)
    for i in shown:
        if i == rows - 1 and i != shown[-1]:
            break
        lines.append(_ram_line(state, width) if i == rows - 1 else _device_line(state, i, width))
    if not machine.devices and state.problem:
        lines.insert(1, line((f"  {state.problem}: everything goes to RAM", "dim")))
    if len(shown) < rows and plan is not None:
        hidden = rows - len(shown)
        lines[-1] = line((f"  {hidden + 1} more: {'z shows' if state.focus == 'memory' else '1 and z show'} all", "dim"))
    return lines


def _labels(width: int) -> tuple[int, int]:
    """(columns of a device's name and description, of the figures after the bar)."""
    return (17 if width >= 76 else 9), (29 if width >= 76 else 18)


def _device_line(state: State, i: int, width: int) -> Line:
    device, plan = state.request.machine.devices[i], state.plan
    label, figures = _labels(width)
    margin = state.request.margin_bytes[i]
    live = state.live[i] if i < len(state.live) - 1 else None
    others = live.used_bytes if live and not state.server.running else device.total_bytes - device.free_bytes
    use = plan.estimate.devices[i] if plan else DeviceMemory(0, 0, 0, 0)
    over = use.used_bytes - (device.free_bytes - margin)
    total = max(device.total_bytes, others + use.used_bytes, 1)
    spans = bar(_device_parts(use, total, device.free_bytes, margin, others), total, max(width - label - figures - 1, 4))
    text = f" {(others + use.used_bytes) / _GIB:5.1f} / {device.total_bytes / _GIB:.1f} GiB"
    name = f"  {device.name} {device.description}" if label > 12 else f"  {device.name}"
    end: list[Span] = [(text, "text")]
    if use.used_bytes and over > 0:
        end = [(f" over by {over / 2**20:,.0f} MiB", "error")]
    elif live is not None and live.note:
        end.append((f" {live.note}", "dim"))
    else:
        end.append((f" {(others + use.used_bytes) / max(device.total_bytes, 1):4.0%}", "dim"))
    return (*fit(line(name), label), *spans, *end)


def _ram_line(state: State, width: int) -> Line:
    ram, plan = state.request.machine.ram, state.plan
    label, figures = _labels(width)
    host = plan.estimate.host if plan else None
    used = host.used_bytes if host else 0
    others = state.live[-1].used_bytes if state.live and not state.server.running else ram.total_bytes - ram.free_bytes
    total = max(ram.total_bytes, others + used, 1)
    parts = {
        "other": others,
        "weights": host.weights_bytes if host else 0,
        "kv": host.cache_bytes + host.recurrent_bytes if host else 0,
        "compute": host.compute_bytes if host else 0,
        "free": total - others - used,
    }
    spans = bar(parts, total, max(width - label - figures - 1, 4))
    end: Span = (f" {(others + used) / _GIB:5.1f} / {ram.total_bytes / _GIB:.1f} GiB", "text")
    if used > ram.free_bytes:
        end = (f" over by {(used - ram.free_bytes) / _GIB:,.1f} GiB", "error")
    return (*fit(line("  RAM"), label), *spans, end)


def most_text(state: State) -> str:
    """`max`, and what that is once the plan knows it."""
    chosen = state.plan.request.context.n_ctx if state.plan is not None and not state.request.context.n_ctx else 0
    return f"max {chosen:,}" if chosen and state.working != SEARCHING else "max"


def kv_lines(state: State, width: int, height: int) -> list[Line]:
    """The pairs: cache, saved, largest context, speed, how they run, quality."""
    context, model = state.request.context, state.request.model
    cells = context.cells(model.n_ctx_train)
    asked = f"{context.n_ctx:,}" if context.n_ctx else most_text(state)
    right = line((f"context {asked}  slots {context.slots} x {context.cells_per_slot(model.n_ctx_train):,} ", "text"))
    lines = [title(state, "kv", 2, "K/V cache", right, width)]
    lines.append(line((f"     {app_heading()}", "dim")))
    if equal_types_needed(model):
        lines.append(line(("     this model needs K and V of one type: the keys k and v move both", "dim")))
    selected = next((i for i, r in enumerate(state.rows) if (r.type_k, r.type_v) == (context.type_k, context.type_v)), 0)
    room = max(height - len(lines) - 1, 1)
    for i in window(len(state.rows), room, selected):
        lines.append(_pair_line(state.rows[i], i == selected, state.rows_complete))
    if not state.rows:
        total = cache_layout(model, context).cache_bytes
        lines.append(line(f"   > {context.type_k:7}{context.type_v:7}{total / _GIB:10.2f}  {cells:,} cells"))
    elif state.rows[selected].quality.why:
        lines.append(line((f"     {state.rows[selected].quality.why}", "warning")))
    else:
        nearest = next(iter(state.rows[selected].quality.figures), None)
        if nearest is not None:
            figure, kin = nearest
            lines.append(line((f"     {figure.metric} {figure.value:g}, {kin}: {figure.model} ({figure.source})", "dim")))
    return lines


def _pair_line(row: PairRow, selected: bool, complete: bool) -> Line:
    style = "cursor" if selected else "text" if row.accepted else "dim"
    return line((f"{'   > ' if selected else '     '}{app_row(row, complete=complete)}", style))


def device_letter(index: int) -> str:
    """One character a device: 0-9, then a-z; RAM is a dot."""
    return "." if index == CPU else "0123456789abcdefghijklmnopqrstuvwxyz"[index % 36]


def _style(index: int) -> str:
    return "free" if index == CPU else f"device{index % 8}"


def placement_lines(state: State, width: int, height: int) -> list[Line]:
    """Blocks across, groups down; then speed, counts, findings."""
    plan = state.plan
    right = line((_proof(state), "dim"))
    lines = [title(state, "placement", 3, "placement", right, width)]
    if plan is None:
        return [*lines, line(("  searching" if state.working else "  no plan", "dim"))]
    label = 13
    layers = plan.assignment.layer_devices
    shown = window(len(layers), max(width - label - 1, 8), state.cursor)
    ruler = "".join(str(i).ljust(10) for i in range(shown.start - shown.start % 10, shown.stop, 10))[shown.start % 10 :]
    lines.append(fit(line(("   " + " " * (label - 3), "dim"), (ruler, "dim")), width))
    cursor = state.cursor if state.focus == "placement" else -1
    lines.append(_map_row("attn + kv", [(device_letter(layers[i]), layers[i]) for i in shown], shown, cursor, label))
    moved = _movable_places(state)
    if moved:
        name = "experts" if state.request.model.n_expert else "ffn"
        lines.append(_map_row(name, [_group_cell(moved.get(i, ()), layers[i]) for i in shown], shown, cursor, label))
    lines += pin_row(state, shown, label)
    if state.focus == "placement":
        lines += cursor_lines(state, plan, width)
    names = [f"{device_letter(i)} {d.name}" for i, d in enumerate(state.request.machine.devices)]
    lines.append(line((f"   {'  '.join([*names[:8], '. RAM', '* several'])}", "dim")))
    if plan.speed is not None:
        text = f"   {plan.speed.tokens_per_second:.2f} tokens/s at full context, {plan.speed.high:.2f} at an empty one"
        lines.append(line(text, ("  (by bandwidth)", "dim")))
    for finding in sorted(plan.findings, key=lambda f: ("error", "warning", "note").index(f.severity)):
        lines.append(line((f"   {finding.message}", finding.severity)))
    return lines[:height]


def _proof(state: State) -> str:
    plan = state.plan
    if state.working == SEARCHING:
        return "searching "
    if plan is None:
        return "no plan "
    if plan.optimality.proven:
        return "proven the best "
    left = plan.optimality.remaining
    known = "" if left is None else f"within {left:.2%} of the best"
    return f"{known}, improving " if state.working and known else f"{known or state.working} "


def _map_row(name: str, cells: list[tuple[str, int]], shown: range, cursor: int, label: int) -> Line:
    spans: list[Span] = [(f"   {name}".ljust(label), "text")]
    for i, (letter, place) in zip(shown, cells, strict=True):
        style = "cursor" if i == cursor else _style(place)
        if spans[-1][1] == style and len(spans) > 1:
            spans[-1] = (spans[-1][0] + letter, style)
        else:
            spans.append((letter, style))
    return tuple(spans)


def _movable_places(state: State) -> dict[int, tuple[int, ...]]:
    """Block -> devices of its experts, or of its large FFN tensors."""
    plan = state.plan
    found: dict[int, list[int]] = {}
    if plan is None:
        return {}
    experts = bool(state.request.model.n_expert)
    for t in state.request.model.tensors:
        wanted = t.expert if experts else ".ffn_" in t.name and "norm" not in t.name
        if wanted and t.loaded and t.block is not None:
            found.setdefault(t.block, []).append(plan.assignment.tensor_devices[t.index])
    return {block: tuple(places) for block, places in found.items()}


def _group_cell(places: tuple[int, ...], home: int) -> tuple[str, int]:
    if not places:
        return " ", home
    return (device_letter(places[0]), places[0]) if len(set(places)) == 1 else ("*", places[0])


def log_lines(state: State, width: int, height: int) -> list[Line]:
    """The server's log, newest last, as filtered and scrolled."""
    right = line((f"{state.server.url} ", "dim"))
    about = "  ".join(part for part in (state.server.job or state.server.text, state.log.described()) if part)
    lines = [title(state, "log", 4, f"log {about}".rstrip(), right, width)]
    lines += [log_line(entry) for entry in state.log.window(max(height - 1, 1))]
    if not state.log.lines:
        lines.append(line(("   L launches llama-server with this plan; its log is shown here", "dim")))
    elif not state.log.shown:
        lines.append(line(("   no line passes the filter: / and l change it", "dim")))
    return lines
