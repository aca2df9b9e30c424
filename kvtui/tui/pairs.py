"""The keys of the K/V pairs: how they are looked at, the guide, and where a choice is kept."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.findings import KvtuiError
from kvtui.base.late import Late
from kvtui.flags.cache_types import ALL_PAIRS
from kvtui.report.columns import FILTERS
from kvtui.tasks.last_request import described
from kvtui.tui.draw.matrix import said_name
from kvtui.tui.draw.pair_page import pair_page
from kvtui.tui.keys.asking import Choice, Menu, Prompt, Question
from kvtui.tui.lines import line
from kvtui.tui.server.using import ServerDesk
from kvtui.tui.table_view import LEAST, TableView

if TYPE_CHECKING:
    from kvtui.report.configuration import configuration, configuration_lines
    from kvtui.report.guide_text import guide_lines
    from kvtui.tasks.config import write_config
    from kvtui.tasks.kept_options import options_of, with_profile
    from kvtui.tasks.profiles import Profile, delete_profile, profiles, save_profile, settings
    from kvtui.tui.work.messages import GuideReady
    from kvtui.tui.work.pairs import guide_page
else:  # not needed by the first screen
    configuration = Late("kvtui.report.configuration", "configuration")
    configuration_lines = Late("kvtui.report.configuration", "configuration_lines")
    guide_lines = Late("kvtui.report.guide_text", "guide_lines")
    write_config = Late("kvtui.tasks.config", "write_config")
    options_of = Late("kvtui.tasks.kept_options", "options_of")
    with_profile = Late("kvtui.tasks.kept_options", "with_profile")
    Profile = Late("kvtui.tasks.profiles", "Profile")
    delete_profile = Late("kvtui.tasks.profiles", "delete_profile")
    profiles = Late("kvtui.tasks.profiles", "profiles")
    save_profile = Late("kvtui.tasks.profiles", "save_profile")
    settings = Late("kvtui.tasks.profiles", "settings")
    guide_page = Late("kvtui.tui.work.pairs", "guide_page")

_GUIDE = "the guide to K/V types"
_CONFIG = "kvtui.json"
_MOST_PATH = 200
_PAGE_EDGE = 6  # columns of a page beside its text: frame, indent, and as much at the right


class PairsDesk(ServerDesk):
    """The desk with what a person does to the table."""

    # -- how the pairs are looked at -------------------------------------------------------------------------------

    def _look(self, view: TableView, notice: str = "") -> None:
        self.become(replace(self.state, view=view, notice=notice))
        self.fill_square()

    def sort_pairs(self, step: int) -> None:
        """By another column."""
        view = self.state.view.next_column(step)
        by = view.column
        self._look(view, "in the table's own order" if by is None else f"sorted by {said_name(by)}, the best first")

    def reverse_pairs(self) -> None:
        """The last first."""
        self._look(replace(self.state.view, reverse=not self.state.view.reverse))

    def filter_pairs(self) -> None:
        """One filter more, or less."""
        view = self.state.view
        rows = [(f"only {n}", n in view.only, view.with_only(n)) for n in FILTERS]
        rows += [(f"quality {x} or better", x == view.least, replace(view, least=None if x == view.least else x)) for x in LEAST]
        choices = [Choice(f"{'*' if on else ' '} {text}", partial(self._filtered, new)) for text, on, new in rows]
        plain = replace(view, only=(), least=None)
        self.ask(Menu("which pairs are shown", (*choices, Choice("  all of them", partial(self._filtered, plain)))))

    def _filtered(self, view: TableView) -> None:
        self._look(view, f"{view.filters}; the chosen pair is shown in any case" if view.filters else "no pair is left out")

    def toggle_all_pairs(self) -> None:
        """All, or those worth a look."""
        view = replace(self.state.view, all_pairs=not self.state.view.all_pairs)
        self._look(view, f"all {ALL_PAIRS} pairs, as they are worked out" if view.all_pairs else "the pairs worth a look")

    def toggle_square(self) -> None:
        """K down and V across, or the table."""
        self._look(replace(self.state.view, square=not self.state.view.square))

    def next_goal(self) -> None:
        """Advice for another goal."""
        view = self.state.view.next_goal()
        self._look(view, f"advice for {view.goal}")

    # -- pages -----------------------------------------------------------------------------------------------------

    def explain_pair(self) -> None:
        """The advice, and all that is known of the selected pair."""
        row = next((r for r in self.state.pairs if r.pair == self.state.pair), None)
        if row is None:
            self.notice("the table is not ready yet")
        else:
            self.open_page(f"{row.type_k}/{row.type_v}, and what to take", pair_page(self.state, row))

    def show_guide(self) -> None:
        """The guide's pages."""
        plan = self.state.plan
        if plan is None:
            self.notice("the plan is not ready yet")
            return
        self.open_page(_GUIDE, (line(("  working out what its choices cost here", "dim")),))
        self.work("the guide", partial(guide_page, plan))

    def on_guide_ready(self, message: "GuideReady") -> None:
        """All of it."""
        width = max(self.size.width - _PAGE_EDGE, 1)
        self.refresh_page(_GUIDE, tuple(line(f"  {text}") for text in guide_lines(message.guide, message.formula, width)))

    def copy_configuration(self) -> None:
        """The guide's "current configuration"."""
        if self.state.plan is None:
            self.notice("the plan is not ready yet")
            return
        lines = configuration_lines(configuration(self.state.plan))
        self.copy_to_clipboard("\n".join(lines))
        self.open_page("current configuration, copied", tuple(line(f"  {text}") for text in lines))

    # -- what is kept ----------------------------------------------------------------------------------------------

    def write_config(self) -> None:
        """Into the config that was given, or one that is named."""
        hint = "a JSON config: context_size and kv_cache are written, other keys and the order of all stay"
        text = self.session.options.config or _CONFIG
        self.ask(Prompt("write to", self._write_config, text=text, limit=_MOST_PATH, hint=hint, selected=True))

    def _write_config(self, text: str) -> None:
        context = self.state.request.context
        path = Path(text.strip()).expanduser()
        try:
            write_config(path, context.n_ctx, context.type_k, context.type_v)
        except KvtuiError as e:
            self.notice(str(e))
        else:
            self.notice(f"{path}: context_size {context.n_ctx}, K/V {context.type_k}/{context.type_v}")

    def open_profiles(self) -> None:
        """What is saved, and saving."""
        try:
            found = profiles()
        except KvtuiError as e:
            self.notice(str(e))
            return
        rows = [Choice("save what is on the screen", self._name_profile)]
        for name, profile in found.items():
            said = ", ".join(f"{k} {v}" for k, v in settings(profile).items()) or "no option"
            rows.append(Choice(f"{name}: {said}", partial(self._ask_profile, name, profile)))
        self.ask(Menu("profiles", tuple(rows)))

    def _name_profile(self) -> None:
        self.ask(Prompt("name of the profile", self._save_profile, limit=64, hint="for --profile NAME, and this list"))

    def _save_profile(self, name: str) -> None:
        model = self.session.model
        kept = Profile(model, options_of(self.state.here(self.state.request), self.session.options))
        self._kept(partial(save_profile, name, kept), f"profile {name} is saved")

    def _ask_profile(self, name: str, profile: "Profile") -> None:
        answers = {
            "l": ("loads it", partial(self._load_profile, name, profile)),
            "d": ("deletes it", partial(self._kept, partial(delete_profile, name), f"profile {name} is deleted")),
        }
        self.ask(Question(f"profile {name}", answers))

    def _load_profile(self, name: str, profile: "Profile") -> None:
        model = self.session.model
        try:
            request = with_profile(self.state.request, name, profile, self.session.options, model)
        except KvtuiError as e:
            self.notice(str(e))
        else:
            self.change(request, f"profile {name}: {described(request)}")

    def _kept(self, change: "partial[None]", said: str) -> None:
        try:
            change()
        except KvtuiError as e:
            self.notice(str(e))
        else:
            self.notice(said)
