"""What the screen says of a launch before the server itself says anything."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.build import DEFAULT_BUILD, build_in
from kvtui.base.findings import UsageError
from kvtui.base.late import Late
from kvtui.base.sizes import short_context
from kvtui.tui.draw.head import pair_name
from kvtui.tui.state import ServerView

if TYPE_CHECKING:
    from kvtui.flags.read import parse_flags
    from kvtui.server.measure.comparison import predicted_parts
    from kvtui.server.process.record import ServerRecord
else:  # not needed by the first screen
    parse_flags = Late("kvtui.flags.read", "parse_flags")
    predicted_parts = Late("kvtui.server.measure.comparison", "predicted_parts")


def view_of(record: "ServerRecord", stage: str, controlled_by: int | None, own: bool) -> ServerView:
    """A server that runs: its pair, context and port, and what its own plan predicted. `own`: it runs the model on the
    screen; of another, the file is named and its figures stand beside nothing."""
    predicted = tuple((name, p.model, p.context, p.compute) for name, p in predicted_parts(record.plan or {}).items())
    view = ServerView(stage, record.url, running=True, controlled_by=controlled_by, runs=said_of(record))
    return replace(view, predicted=predicted) if own else replace(view, model=Path(record.model).name)


def named(record: "ServerRecord") -> str:
    """`model.gguf: q8_0 32k, port 8080`."""
    return f"{Path(record.model).name}: {said_of(record)}"


def said_of(record: "ServerRecord") -> str:
    """`q8_0 32k, port 8080`."""
    try:
        build = build_in(str((record.plan or {}).get("build", ""))) or DEFAULT_BUILD
        context = parse_flags(record.command[1:], build=build).context
    except UsageError:  # a record of another version, or of somebody else
        return f"port {record.port}"
    length = f" {short_context(context.n_ctx)}" if context.n_ctx else ""
    return f"{pair_name(context.type_k, context.type_v)}{length}, port {record.port}"
