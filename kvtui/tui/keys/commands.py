"""Every action once: its key, what it does, name, help line and pane. Footer, help and palette are made of this table."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from textual.keys import key_to_character

from kvtui.flags.cache_types import ALL_PAIRS
from kvtui.tui.keys.actions import Actions

_WHOLE_PAGE = 1 << 20  # lines: more than any page has
EVERYWHERE, MEMORY, TABLE, PLACEMENT, LOG, PAGE = "", "memory", "kv", "placement", "log", "page"

PANE_NAMES = {
    EVERYWHERE: "everywhere",
    MEMORY: "in the memory pane",
    TABLE: "in the K/V table",
    PLACEMENT: "in the map",
    LOG: "in the log",
}


class When(Enum):
    """What has to be so for a command to be of use: the footer names it then."""

    ALWAYS = auto()
    RUNS = auto()  # a server does
    RUNS_OTHER = auto()  # and it was asked for something else than the screen is
    NO_ROOM = auto()  # the last load ran out of memory
    LEARNED = auto()  # something was measured that the plan does not count
    TAKES = auto()  # the page in front has a request to take
    KEEPS = auto()  # a plan is kept as A
    HAS_OTHER = auto()  # the screen shows the plan that runs, and another request waits


@dataclass(frozen=True)
class Command:
    """`key`: Textual's name of it; `do`: the action; `pane`: what has to be in front, EVERYWHERE for any pane (and no
    page). `footer`: its text there, or "", where another command's names it too; those of the highest `rank` give way
    first. `named_in`: the pane whose footer names it, where it acts in others as well."""

    key: str
    do: Callable[[Actions], object]
    name: str
    help: str
    pane: str = EVERYWHERE
    footer: str = ""
    rank: int = 1
    named_in: str = EVERYWHERE
    when: When = When.ALWAYS


COMMANDS = (
    Command("down", lambda a: a.step_pair(1), "next pair", "the next pair of the table, in its pane", TABLE, "up/down pair"),
    Command("up", lambda a: a.step_pair(-1), "previous pair", "the pair before", TABLE),
    Command(
        "k",
        lambda a: a.next_type("k", 1),
        "next K type",
        "the next type for K (and V, where the model needs them equal)",
        footer="k/v types",
        rank=2,
    ),
    Command("v", lambda a: a.next_type("v", 1), "next V type", "the next type for V"),
    Command("K", lambda a: a.next_type("k", -1), "previous K type", "the type for K before"),
    Command("V", lambda a: a.next_type("v", -1), "previous V type", "the type for V before"),
    Command("h", lambda a: a.halve_cache(), "half the cache", "types of half the bytes, for K and V", footer="h half", rank=2),
    Command("f1", lambda a: a.use_preset(0), "maximum performance", "f16/f16", footer="F1-F4 presets"),
    Command("f2", lambda a: a.use_preset(1), "balanced", "q8_0/q8_0"),
    Command("f3", lambda a: a.use_preset(2), "maximum savings", "q4_0/q4_0"),
    Command("f4", lambda a: a.use_preset(3), "mixed", "q8_0/q4_0: more bits for K, the sensitive side"),
    Command("greater_than_sign", lambda a: a.sort_pairs(1), "sort by next column", "the best of it first", TABLE, "</> sort"),
    Command("less_than_sign", lambda a: a.sort_pairs(-1), "sort by column before", "the best of it first", TABLE),
    Command("R", lambda a: a.reverse_pairs(), "reverse the order", "the last pair first", TABLE, "R turn", rank=5),
    Command(
        "F", lambda a: a.filter_pairs(), "filter pairs", "accepted, fast, that fit, of a quality or better", TABLE, "F filter"
    ),
    Command(
        "M",
        lambda a: a.toggle_square(),
        "square of all pairs",
        "K down and V across, shaded by the column that sorts; up and down move K there, v and V move V",
        TABLE,
        "M square",
    ),
    Command("a", lambda a: a.toggle_all_pairs(), "all pairs", f"all {ALL_PAIRS}, or those worth a look", TABLE, "a all", rank=4),
    Command("G", lambda a: a.next_goal(), "goal", "advice for decode speed, context, or memory", TABLE, "G goal", rank=4),
    Command(
        "w", lambda a: a.explain_pair(), "why", "advice for each goal, and all that is known of this pair", TABLE, "w why", rank=3
    ),
    Command("c", lambda a: a.edit_value("context"), "context", "type a context: 132000, 132k, max", footer="c context", rank=3),
    Command(
        "C",
        lambda a: a.largest_context(),
        "largest context",
        "all the model was trained for, or the most that fits",
        footer="C largest",
        rank=2,
    ),
    Command(
        "s",
        lambda a: a.edit_value("slots"),
        "slots",
        "type a number of slots, or nothing for llama-server's own four",
        footer="s slots",
        rank=5,
    ),
    Command("b", lambda a: a.edit_value("ubatch"), "ubatch", "type the physical batch", footer="b ubatch", rank=6),
    Command("m", lambda a: a.edit_value("margin"), "margin", "type the memory to leave free: 1GiB", footer="m margin", rank=4),
    Command(
        "N",
        lambda a: a.prefer_next(),
        "prefer",
        "the next device is the preferred one: alone where all fits there, else opened first; after the last, none",
        MEMORY,
        "N prefer",
        rank=4,
    ),
    Command(
        "plus",
        lambda a: a.suppose(),
        "what if",
        "a card more, or one less: what it changes; the machine is marked as simulated",
        footer="+ what if",
        rank=5,
    ),
    Command("equals_sign", lambda a: a.drop_suppositions(), "as it is", "the machine that is here again, after +"),
    Command(
        "R",
        lambda a: a.measure_ram(),
        "measure RAM",
        "RAM's bandwidth again, in a second; the speed of what is in RAM is by it",
        MEMORY,
        "R measure RAM",
    ),
    Command(
        "D",
        lambda a: a.compare_plans(),
        "keep as A, compare",
        "keep this plan as A; then A and what is asked since (B) side by side",
        footer="D A/B",
        rank=4,
    ),
    Command("X", lambda a: a.swap_plans(), "swap A and B", "A on the screen, B kept", footer="X swap", rank=2, when=When.KEEPS),
    Command("Z", lambda a: a.forget_plan(), "forget A", "no plan is kept", footer="Z forget A", rank=3, when=When.KEEPS),
    Command(
        "space",
        lambda a: a.mark_blocks(),
        "mark",
        "mark blocks: arrows stretch the mark, a device's letter pins their experts (or FFN) there",
        PLACEMENT,
        "Space marks",
    ),
    Command(
        "enter",
        lambda a: a.list_tensors(),
        "tensors",
        "the block's tensors: type, size, where, and why there; letters filter all of them by name, type, device, reason",
        PLACEMENT,
        "Enter tensors",
        rank=2,
    ),
    Command("minus", lambda a: a.drop_pin(), "unpin", "take this block's pin back", PLACEMENT, "- unpins"),
    Command("left", lambda a: a.step_block(-1), "block before", "the block to the left", PLACEMENT, "left/right block"),
    Command("right", lambda a: a.step_block(1), "block after", "the block to the right", PLACEMENT),
    Command("up", lambda a: a.step_block(-10), "ten blocks before", "ten blocks to the left", PLACEMENT, "up/down ten"),
    Command("down", lambda a: a.step_block(10), "ten blocks after", "ten blocks to the right", PLACEMENT),
    Command(
        "p",
        lambda a: a.pin_block(),
        "pin",
        "keep this block's experts (or FFN) on the next device; again for the one after",
        footer="p pin",
        rank=3,
    ),
    Command("n", lambda a: a.drop_pins(), "no pins", "take all pins back", footer="n no pins", rank=2, named_in=PLACEMENT),
    Command(
        "L",
        lambda a: a.launch_server(),
        "launch",
        "start llama-server with exactly this plan (again: stop it first)",
        footer="L launch",
    ),
    Command(
        "x",
        lambda a: a.stop_server(),
        "stop the server",
        "SIGINT, then SIGTERM, then SIGKILL",
        footer="x stop",
        when=When.RUNS,
    ),
    Command(
        "J",
        lambda a: a.show_running_plan(),
        "the plan that runs",
        "what the running server was launched with; j goes back to what was asked",
        footer="J running plan",
        when=When.RUNS_OTHER,
    ),
    Command(
        "j",
        lambda a: a.show_asked_plan(),
        "the other plan",
        "what was asked before the running plan was shown",
        footer="j other plan",
        when=When.HAS_OTHER,
    ),
    Command(
        "O",
        lambda a: a.make_room(),
        "plan with more room",
        "after a load that ran out of memory: leave free there what lacked; u takes it back",
        footer="O more room",
        when=When.NO_ROOM,
    ),
    Command(
        "U",
        lambda a: a.use_lesson(),
        "plan with what was measured",
        "figures of servers that ran here, which the plan does not count yet; u takes it back",
        footer="U use measured",
        when=When.LEARNED,
    ),
    Command(
        "d",
        lambda a: a.compare_memory(),
        "predicted and actual",
        "each device: the plan, the server's dry run, what it took",
        footer="d actual",
    ),
    Command(
        "S",
        lambda a: a.stress_server(all_slots=False),
        "stress",
        "one prompt to a slot's limit, with the peak kept: proven here; again calls it off",
        footer="S stress",
        when=When.RUNS,
    ),
    Command(
        "A",
        lambda a: a.stress_server(all_slots=True),
        "stress all slots",
        "the same on all slots at once",
        footer="A all slots",
        rank=6,
        when=When.RUNS,
    ),
    Command(
        "T",
        lambda a: a.test_prompt(),
        "test prompt",
        "ask the server one thing and see it answer",
        footer="T prompt",
        when=When.RUNS,
    ),
    Command(
        "i",
        lambda a: a.show_server(),
        "this server",
        "its address, command, log file, and the config files it reads",
        footer="i server",
        rank=5,
        when=When.RUNS,
    ),
    Command(
        "B",
        lambda a: a.choose_server(),
        "choose llama-server",
        "those found here, with build, back ends and devices; remembered",
        footer="B binary",
    ),
    Command(
        "I",
        lambda a: a.review_command(),
        "look a command over",
        "paste a llama-server command, or take the running server's: what it holds, beside our plan",
        footer="I inspect",
        rank=6,
    ),
    Command(
        "E",
        lambda a: a.export_plan(),
        "export",
        "script, systemd unit, llama-swap entry, preset, environment file",
        footer="E export",
    ),
    Command(
        "y",
        lambda a: a.copy_command(),
        "copy the command",
        "to the terminal's clipboard, and shown to select",
        footer="y copy",
        rank=5,
    ),
    Command("g", lambda a: a.show_guide(), "guide", "the guide to K/V types with exact figures", footer="g guide", rank=3),
    Command(
        "Y",
        lambda a: a.copy_configuration(),
        "copy the configuration",
        "context, K/V cache, reserved memory, what is left for tensors",
        footer="Y block",
        rank=7,
    ),
    Command(
        "W",
        lambda a: a.write_config(),
        "write a config",
        "context and K/V types into a JSON config; its other keys and their order stay",
        footer="W config",
        rank=7,
    ),
    Command("P", lambda a: a.open_profiles(), "profiles", "save, load and delete sets of options", footer="P profiles", rank=7),
    Command("e", lambda a: a.explain_figures(), "explain", "each figure's formula with its numbers", footer="e explain", rank=5),
    Command("o", lambda a: a.open_other_model(), "open", "another model, from the list of those found here", footer="o open"),
    Command("u", lambda a: a.undo_change(), "undo", "take the last change back", footer="u undo"),
    Command("r", lambda a: a.redo_change(), "redo", "make it again", footer="r redo", rank=6),
    Command("1", lambda a: a.focus_pane(MEMORY), "memory pane", "keys go to the memory pane", footer="1-4 panes", rank=4),
    Command("2", lambda a: a.focus_pane(TABLE), "K/V pane", "keys go to the K/V table"),
    Command("3", lambda a: a.focus_pane(PLACEMENT), "placement pane", "keys go to the placement map"),
    Command("4", lambda a: a.toggle_log(), "log pane", "show or hide the server's log", footer="4 log", rank=3),
    Command(
        "slash", lambda a: a.search_log(), "search the log", "only lines with the words typed", footer="/ search", named_in=LOG
    ),
    Command("l", lambda a: a.next_log_level(), "log level", "all, no debug, warnings, errors", footer="l level", named_in=LOG),
    Command(
        "f", lambda a: a.follow_log(), "follow the log", "the newest line, or stay where it is", footer="f follow", named_in=LOG
    ),
    Command("pageup", lambda a: a.scroll_log(10), "scroll up", "older lines of the log", footer="PgUp/PgDn scroll", named_in=LOG),
    Command("pagedown", lambda a: a.scroll_log(-10), "scroll down", "newer lines"),
    Command("z", lambda a: a.zoom_pane(), "zoom", "only this pane, or all of them again", footer="z zoom", rank=4),
    Command("t", lambda a: a.next_theme(), "theme", "other colours", footer="t theme", rank=6),
    Command(
        "colon", lambda a: a.show_commands(), "commands", "find any of these by letters of its name", footer=": find", rank=3
    ),
    Command("ctrl+p", lambda a: a.show_commands(), "commands", "the same"),
    Command("question_mark", lambda a: a.show_help(), "help", "this page", footer="? help"),
    Command("escape", lambda a: a.go_back(), "back", "all panes again"),
    Command("q", lambda a: a.leave(), "quit", "leave; asks what to do with a running server", footer="q quit"),
    Command("escape", lambda a: a.close_page(), "close", "close this page", PAGE, "Esc/q close"),
    Command("q", lambda a: a.close_page(), "close", "the same", PAGE),
    Command(
        "enter",
        lambda a: a.take_page(),
        "take it",
        "plan for the context, types and slots of a command that was looked over",
        PAGE,
        "Enter takes its context",
        when=When.TAKES,
    ),
    Command("up", lambda a: a.scroll_page(-1), "line up", "scroll this page", PAGE, "up/down PgUp/PgDn scroll"),
    Command("down", lambda a: a.scroll_page(1), "line down", "scroll this page", PAGE),
    Command("pageup", lambda a: a.scroll_page(-10), "page up", "scroll this page", PAGE),
    Command("pagedown", lambda a: a.scroll_page(10), "page down", "scroll this page", PAGE),
    Command("home", lambda a: a.scroll_page(-_WHOLE_PAGE), "first line", "scroll this page", PAGE),
    Command("end", lambda a: a.scroll_page(_WHOLE_PAGE), "last line", "scroll this page", PAGE),
)


def command_for(key: str, front: str, commands: tuple[Command, ...] = COMMANDS) -> Command | None:
    """What a key does while that pane, or a page, is in front: a page lets no key through."""
    panes = (PAGE,) if front == PAGE else (front, EVERYWHERE)
    return next((c for pane in panes for c in commands if c.pane == pane and c.key == key), None)


def key_named(commands: tuple[Command, ...], name: str) -> str:
    """The first key of the command of that name, as a person reads it."""
    return next(shown_key(c) for c in commands if c.name == name)


KEY_NAMES = {
    "question_mark": "?",
    "escape": "Esc",
    "enter": "Enter",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "ctrl+p": "^P",
    "space": "Space",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "greater_than_sign": ">",
    "less_than_sign": "<",
}


def shown_key(command: Command) -> str:
    """The key as a person reads it."""
    key = command.key
    return KEY_NAMES.get(key) or key_to_character(key) or key.replace("ctrl+", "^").capitalize()
