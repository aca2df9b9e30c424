"""Every action once: its key, name, and help line. Footer, help and bindings are made from this table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """`action`: the app's method action_ACTION; `footer`: its short text there, or ""."""

    action: str
    key: str
    name: str
    help: str
    footer: str = ""


COMMANDS = (
    Command("next_k", "k", "next K type", "the next type for K (and V, where the model needs them equal)", "k/v types"),
    Command("next_v", "v", "next V type", "the next type for V"),
    Command("pair(1)", "down", "next pair", "the next pair of the table; in the placement pane, the next device of a pin"),
    Command("pair(-1)", "up", "previous pair", "the pair before"),
    Command("preset(0)", "f1", "maximum performance", "f16/f16"),
    Command("preset(1)", "f2", "balanced", "q8_0/q8_0"),
    Command("preset(2)", "f3", "maximum savings", "q4_0/q4_0"),
    Command("preset(3)", "f4", "mixed", "q8_0/q4_0: more bits for K, the sensitive side"),
    Command("edit('context')", "c", "context", "type a context: 132000, 132k, max", "c context"),
    Command("edit('slots')", "s", "slots", "type a number of slots, or nothing for llama-server's own four", "s slots"),
    Command("edit('ubatch')", "b", "ubatch", "type the physical batch"),
    Command("edit('margin')", "m", "margin", "type the memory to leave free: 1GiB"),
    Command("pin", "p", "pin", "keep this block's experts (or FFN) on the next device; again for the one after", "p pin"),
    Command("unpin", "n", "no pins", "take all pins back"),
    Command("move(-1)", "left", "block before", "the block to the left, in the placement pane"),
    Command("move(1)", "right", "block after", "the block to the right"),
    Command("server('launch')", "L", "launch", "start llama-server with exactly this plan (again: stop it first)", "L launch"),
    Command("server('stop')", "x", "stop the server", "SIGINT, then SIGTERM, then SIGKILL"),
    Command("tool('compare')", "d", "predicted and actual", "each device: the plan, the server's dry run, what it took"),
    Command("tool('stress')", "S", "stress", "one prompt to a slot's limit, with the peak kept: proven here; again calls it off"),
    Command("stress_all", "A", "stress all slots", "the same on all slots at once"),
    Command("tool('test')", "T", "test prompt", "ask the server one thing and see it answer"),
    Command("tool('about')", "i", "this server", "its address, command, log file, and the config files it reads"),
    Command("tool('binaries')", "B", "choose llama-server", "those found here, with build, back ends and devices; remembered"),
    Command("tool('exports')", "E", "export", "script, systemd unit, llama-swap entry, preset, environment file"),
    Command("copy", "y", "copy the command", "to the terminal's clipboard, and shown to select", "y copy"),
    Command("explain", "e", "explain", "each figure's formula with its numbers"),
    Command("open_model", "o", "open", "another model, from the list of those found here"),
    Command("undo", "u", "undo", "take the last change back"),
    Command("redo", "r", "redo", "make it again"),
    Command("focus_pane('memory')", "1", "memory pane", "keys go to the memory pane"),
    Command("focus_pane('kv')", "2", "K/V pane", "keys go to the K/V table"),
    Command("focus_pane('placement')", "3", "placement pane", "keys go to the placement map"),
    Command("toggle_log", "4", "log pane", "show or hide the server's log", "4 log"),
    Command("search_log", "slash", "search the log", "only lines with the words typed"),
    Command("log_level", "l", "log level", "all, no debug, warnings, errors"),
    Command("follow_log", "f", "follow the log", "the newest line, or stay where it is"),
    Command("scroll(10)", "pageup", "scroll up", "older lines of the log, or of a page of help"),
    Command("scroll(-10)", "pagedown", "scroll down", "newer lines"),
    Command("zoom", "z", "zoom", "only this pane, or all of them again"),
    Command("next_theme", "t", "theme", "other colours"),
    Command("palette", "ctrl+p", "commands", "all of these by name"),
    Command("help", "question_mark", "help", "this page", "? help"),
    Command("back", "escape", "back", "close this page"),
    Command("quit_app", "q", "quit", "leave; asks what to do with a running server", "q quit"),
)

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
