"""The first line: what runs beside what is on the screen, else the model and what the figures rest on."""

from kvtui.base.sizes import gib, short_context
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, both_ends, fit, line, width_of
from kvtui.tui.state import ServerView, State


def head_line(state: State, room: Room) -> Line:
    """One line; a server that runs comes first, and what has no room after it is left out whole."""
    model = state.request.model
    if state.server.running:
        return _running(state, room)
    kind = " MLA" if model.is_mla else ""
    kind += f" {model.n_expert_used}/{model.n_expert} experts" if model.n_expert else ""
    left = line((" kvtui ", "accent"))
    about = ((model.name, "strong"), (f"{model.architecture}{kind}", "text"), (gib(model.weights_bytes), "text"))
    for text, style in (*about, (f"{model.n_layer_all} layers", "text")):
        if width_of(left) + len(text) + 2 <= room.width or text == model.name:
            left = (*left, *line((f" {text} ", style)))
    return both_ends(left, line((f"{state.server.text or state.build or state.request.build} ", "dim")), room.width)


def on_screen(state: State) -> str:
    """`f16 132k`: the pair and context of the plan in the panes."""
    context = state.request.context
    n_ctx = state.plan.request.context.n_ctx if state.plan is not None else context.n_ctx
    return f"{pair_name(context.type_k, context.type_v)} {short_context(n_ctx) if n_ctx else 'max'}"


def pair_name(type_k: str, type_v: str) -> str:
    """`q8_0`, or `q8_0/q4_0` where they differ."""
    return type_k if type_k == type_v else f"{type_k}/{type_v}"


def _running(state: State, room: Room) -> Line:
    server, shown, model = state.server, on_screen(state), state.request.model
    same = state.shows_running or (not server.model and server.runs.startswith(f"{shown},"))
    content: Line = line((f" running{_what_runs(server)} ", "title-focus"))
    here = f"{model.name} {shown}" if server.model else "the same" if same else shown
    asides = (
        line((" on screen: ", "dim"), (f"{here} ", "strong")),
        *(line((f" {part} ", "accent")) for part in ([] if server.model else server.status_parts)),
        line((f" {model.name} ", "strong")) if not server.model else (),
        line((f" {model.architecture} ", "text")),
    )
    for aside in asides:
        if width_of(content) + width_of(aside) <= room.width:
            content = (*content, *aside)
    return fit(content, room.width)


def _what_runs(server: ServerView) -> str:
    """What stands after "running": of another model its file and state too, so that neither reads as the screen's own."""
    if server.model:
        return f" {server.model}: {', '.join(part for part in (server.runs, *server.status_parts) if part)}"
    return f": {server.runs}" if server.runs else ""
