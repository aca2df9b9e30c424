"""Every action once: its key, what it does, name, help line and pane. Footer, help and palette are made of this table."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.tui.keys.actions import Actions

EVERYWHERE, MEMORY, TABLE, PLACEMENT, LOG, PAGE = "", "memory", "kv", "placement", "log", "page"


@dataclass(frozen=True)
class Command:
    """`key`: Textual's name of it; `do`: the action; `pane`: what has to be in front, EVERYWHERE for any pane (and no
    page); `footer`: its short text there, or ""."""

    key: str
    do: Callable[[Actions], object]
    name: str
    help: str
    pane: str = EVERYWHERE
    footer: str = ""


COMMANDS = (
    Command(
        "k",
        lambda a: a.next_type("k"),
        "next K type",
        "the next type for K (and V, where the model needs them equal)",
        footer="k/v types",
    ),
    Command("v", lambda a: a.next_type("v"), "next V type", "the next type for V"),
    Command("down", lambda a: a.step_pair(1), "next pair", "the next pair of the table, in its pane", TABLE),
    Command("up", lambda a: a.step_pair(-1), "previous pair", "the pair before", TABLE),
    Command("f1", lambda a: a.use_preset(0), "maximum performance", "f16/f16"),
    Command("f2", lambda a: a.use_preset(1), "balanced", "q8_0/q8_0"),
    Command("f3", lambda a: a.use_preset(2), "maximum savings", "q4_0/q4_0"),
    Command("f4", lambda a: a.use_preset(3), "mixed", "q8_0/q4_0: more bits for K, the sensitive side"),
    Command("c", lambda a: a.edit_value("context"), "context", "type a context: 132000, 132k, max", footer="c context"),
    Command(
        "s",
        lambda a: a.edit_value("slots"),
        "slots",
        "type a number of slots, or nothing for llama-server's own four",
        footer="s slots",
    ),
    Command("b", lambda a: a.edit_value("ubatch"), "ubatch", "type the physical batch"),
    Command("m", lambda a: a.edit_value("margin"), "margin", "type the memory to leave free: 1GiB"),
    Command(
        "p",
        lambda a: a.pin_block(),
        "pin",
        "keep this block's experts (or FFN) on the next device; again for the one after",
        footer="p pin",
    ),
    Command("n", lambda a: a.drop_pins(), "no pins", "take all pins back"),
    Command("left", lambda a: a.step_block(-1), "block before", "the block to the left, in the placement pane", PLACEMENT),
    Command("right", lambda a: a.step_block(1), "block after", "the block to the right", PLACEMENT),
    Command(
        "L",
        lambda a: a.launch_server(),
        "launch",
        "start llama-server with exactly this plan (again: stop it first)",
        footer="L launch",
    ),
    Command("x", lambda a: a.stop_server(), "stop the server", "SIGINT, then SIGTERM, then SIGKILL"),
    Command(
        "d", lambda a: a.compare_memory(), "predicted and actual", "each device: the plan, the server's dry run, what it took"
    ),
    Command(
        "S",
        lambda a: a.stress_server(all_slots=False),
        "stress",
        "one prompt to a slot's limit, with the peak kept: proven here; again calls it off",
    ),
    Command("A", lambda a: a.stress_server(all_slots=True), "stress all slots", "the same on all slots at once"),
    Command("T", lambda a: a.test_prompt(), "test prompt", "ask the server one thing and see it answer"),
    Command("i", lambda a: a.show_server(), "this server", "its address, command, log file, and the config files it reads"),
    Command(
        "B", lambda a: a.choose_server(), "choose llama-server", "those found here, with build, back ends and devices; remembered"
    ),
    Command("E", lambda a: a.export_plan(), "export", "script, systemd unit, llama-swap entry, preset, environment file"),
    Command(
        "y", lambda a: a.copy_command(), "copy the command", "to the terminal's clipboard, and shown to select", footer="y copy"
    ),
    Command("e", lambda a: a.explain_figures(), "explain", "each figure's formula with its numbers"),
    Command("o", lambda a: a.open_other_model(), "open", "another model, from the list of those found here"),
    Command("u", lambda a: a.undo_change(), "undo", "take the last change back"),
    Command("r", lambda a: a.redo_change(), "redo", "make it again"),
    Command("1", lambda a: a.focus_pane(MEMORY), "memory pane", "keys go to the memory pane"),
    Command("2", lambda a: a.focus_pane(TABLE), "K/V pane", "keys go to the K/V table"),
    Command("3", lambda a: a.focus_pane(PLACEMENT), "placement pane", "keys go to the placement map"),
    Command("4", lambda a: a.toggle_log(), "log pane", "show or hide the server's log", footer="4 log"),
    Command("slash", lambda a: a.search_log(), "search the log", "only lines with the words typed"),
    Command("l", lambda a: a.next_log_level(), "log level", "all, no debug, warnings, errors"),
    Command("f", lambda a: a.follow_log(), "follow the log", "the newest line, or stay where it is"),
    Command("pageup", lambda a: a.scroll_log(10), "scroll up", "older lines of the log"),
    Command("pagedown", lambda a: a.scroll_log(-10), "scroll down", "newer lines"),
    Command("z", lambda a: a.zoom_pane(), "zoom", "only this pane, or all of them again"),
    Command("t", lambda a: a.next_theme(), "theme", "other colours"),
    Command("ctrl+p", lambda a: a.show_commands(), "commands", "all of these by name"),
    Command("question_mark", lambda a: a.show_help(), "help", "this page", footer="? help"),
    Command("escape", lambda a: a.go_back(), "back", "away with the notice and the zoom"),
    Command("q", lambda a: a.leave(), "quit", "leave; asks what to do with a running server", footer="q quit"),
    Command("escape", lambda a: a.close_page(), "close", "close this page", PAGE),
    Command("q", lambda a: a.close_page(), "close", "the same", PAGE),
    Command("up", lambda a: a.scroll_page(-1), "line up", "scroll this page", PAGE),
    Command("down", lambda a: a.scroll_page(1), "line down", "scroll this page", PAGE),
    Command("pageup", lambda a: a.scroll_page(-10), "page up", "scroll this page", PAGE),
    Command("pagedown", lambda a: a.scroll_page(10), "page down", "scroll this page", PAGE),
)


def command_for(key: str, front: str) -> Command | None:
    """What a key does while that pane, or a page, is in front: a page lets no key through."""
    panes = (PAGE,) if front == PAGE else (front, EVERYWHERE)
    return next((c for pane in panes for c in COMMANDS if c.pane == pane and c.key == key), None)


KEY_NAMES = {"question_mark": "?", "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "slash": "/", "ctrl+p": "^P"}


def shown_key(command: Command) -> str:
    """The key as a person reads it."""
    return KEY_NAMES.get(command.key, command.key if len(command.key) == 1 else command.key.capitalize())


def footer_text(width: int) -> str:
    """The keys worth showing that fit; help and quit always do, the later ones give way first."""
    shown = [c.footer for c in COMMANDS if c.footer]
    first, last = shown[:-2], shown[-2:]
    while first and len("  ".join([*first, *last])) + 2 > width:
        first.pop()
    return "  ".join([*first, *last])
