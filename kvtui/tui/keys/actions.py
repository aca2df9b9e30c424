"""What a key can ask for: the app is one of these, and the table of commands calls nothing else."""

from typing import Protocol


class Actions(Protocol):
    """Each method is one action; all of them return at once."""

    def next_type(self, side: str, step: int) -> None:
        """Another type for "k" or "v", `step` further."""

    def halve_cache(self) -> None:
        """Types of half the bytes."""

    def largest_context(self) -> None:
        """The most there is."""

    def step_pair(self, step: int) -> None:
        """Another row of the table."""

    def sort_pairs(self, step: int) -> None:
        """By another column, `step` further."""

    def reverse_pairs(self) -> None:
        """The last first."""

    def filter_pairs(self) -> None:
        """Choose which pairs are shown."""

    def toggle_all_pairs(self) -> None:
        """All, or those worth a look."""

    def toggle_square(self) -> None:
        """K down and V across, or the table."""

    def next_goal(self) -> None:
        """Advice for another goal."""

    def explain_pair(self) -> None:
        """All that is known of the selected pair."""

    def show_guide(self) -> None:
        """The guide's pages."""

    def copy_configuration(self) -> None:
        """The current configuration, to the clipboard and on a page."""

    def write_config(self) -> None:
        """Context and types into a config."""

    def open_profiles(self) -> None:
        """Save, load and delete sets of options."""

    def use_preset(self, number: int) -> None:
        """One of the four presets."""

    def edit_value(self, what: str) -> None:
        """Type a value: one of `changes.EDITS`."""

    def prefer_next(self) -> None:
        """Another preferred device, or none."""

    def suppose(self) -> None:
        """A card more, or one less."""

    def drop_suppositions(self) -> None:
        """The machine that is here."""

    def measure_ram(self) -> None:
        """RAM's bandwidth, now."""

    def compare_plans(self) -> None:
        """Keep the plan as A, or show A and B."""

    def swap_plans(self) -> None:
        """B is A, A is B."""

    def forget_plan(self) -> None:
        """No A."""

    def pin_block(self) -> None:
        """Pin the block under the cursor to the next device."""

    def list_tensors(self) -> None:
        """Each tensor of the block under the cursor, and why it is where it is."""

    def mark_blocks(self) -> None:
        """Mark blocks from here on, to pin them together."""

    def drop_pin(self) -> None:
        """Take the pin of the block under the cursor back."""

    def drop_pins(self) -> None:
        """Take all pins back."""

    def step_block(self, step: int) -> None:
        """Another block under the cursor."""

    def launch_server(self) -> None:
        """Start llama-server with the plan on the screen."""

    def stop_server(self) -> None:
        """Stop it in steps."""

    def show_running_plan(self) -> None:
        """The request of the running server."""

    def show_asked_plan(self) -> None:
        """The request that was on the screen before that."""

    def make_room(self) -> None:
        """Leave the room that the last load lacked."""

    def use_lesson(self) -> None:
        """Plan with what was measured."""

    def compare_memory(self) -> None:
        """Predicted, dry run, actual."""

    def stress_server(self, all_slots: bool) -> None:
        """Fill one slot or all."""

    def test_prompt(self) -> None:
        """Ask it one thing."""

    def show_server(self) -> None:
        """What the launch was."""

    def choose_server(self) -> None:
        """Another llama-server."""

    def review_command(self) -> None:
        """Look a command over."""

    def export_plan(self) -> None:
        """The plan in a form for other programs."""

    def copy_command(self) -> None:
        """The command, to the clipboard and on a page."""

    def explain_figures(self) -> None:
        """Formulas with their numbers."""

    def open_other_model(self) -> None:
        """The list of models."""

    def undo_change(self) -> None:
        """The request before."""

    def redo_change(self) -> None:
        """The request that was undone."""

    def focus_pane(self, name: str) -> None:
        """Keys go to this pane."""

    def toggle_log(self) -> None:
        """Show or hide the log."""

    def search_log(self) -> None:
        """Only lines with the words typed."""

    def next_log_level(self) -> None:
        """All, no debug, warnings, errors."""

    def follow_log(self) -> None:
        """The newest line, or stay."""

    def scroll_log(self, lines: int) -> None:
        """Older lines (positive) or newer."""

    def zoom_pane(self) -> None:
        """Only this pane, or all."""

    def next_theme(self) -> None:
        """Other colours."""

    def show_commands(self) -> None:
        """All commands by name."""

    def show_help(self) -> None:
        """All keys."""

    def go_back(self) -> None:
        """All panes again."""

    def leave(self) -> None:
        """Quit."""

    def close_page(self) -> None:
        """Close the page in front."""

    def take_page(self) -> None:
        """Make the request what the page asks for."""

    def scroll_page(self, lines: int) -> None:
        """Further down the page (positive) or up."""
