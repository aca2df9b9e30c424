"""The quantizations of a repository, as the picker shows them: one frozen value, and its lines."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvtui.base.sizes import MIB, amount
from kvtui.base.text import columns, cut, printable
from kvtui.tui.lines import Line, both_ends, line, window, wrapped

if TYPE_CHECKING:
    from kvtui.placement.fitting import Fitting, Offer

_AROUND = 20  # columns of a row beside its name and how it fits
_MOST_NAME = 24


@dataclass(frozen=True)
class RepositoryView:
    """`offers` are there as soon as the Hub has listed them, `rows` one after the other as headers are read; `read_bytes` of
    the header under way; `notice`: one sentence, until the next key."""

    name: str
    offers: tuple["Offer", ...] = ()
    usual: str = ""
    rows: tuple["Fitting", ...] = ()
    at: int = 0
    read_bytes: int = 0
    notice: str = ""
    opening: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that there is was read."""
        return bool(self.offers) and len(self.rows) == len(self.offers)

    @property
    def chosen(self) -> str:
        """What Enter opens; "" before there is anything."""
        return self.offers[self.at].model if self.offers else ""

    def listed(self, usual: str, offers: tuple["Offer", ...]) -> "RepositoryView":
        """The Hub has answered; the one taken unasked is chosen."""
        at = next((i for i, offer in enumerate(offers) if offer.name == usual), 0)
        return replace(self, offers=offers, usual=usual, at=at)

    def moved(self, by: int) -> "RepositoryView":
        """Another row."""
        return replace(self, at=max(0, min(self.at + by, len(self.offers) - 1)), notice="")


def repository_lines(view: RepositoryView, width: int, height: int) -> list[Line]:
    """Title, a row a quantization, what is going on, and the keys."""
    title = line((" kvtui  ", "accent"), (view.name, "strong"))
    out = [both_ends(title, line((f"{_progress(view)} ", "dim")), width)]
    name_width = min(max((columns(o.name) for o in view.offers), default=0), _MOST_NAME)
    out.append(line((f"   {'model':<{name_width}} {'size':>10}  fits  how", "dim")))
    said = _said(view, width)
    room = max(height - len(out) - 1 - len(said), 1)
    for i in window(len(view.offers), room, view.at):
        row = view.rows[i] if i < len(view.rows) else None
        out.append(_row(view.offers[i], row, i == view.at, name_width, width))
    out += [line("")] * (height - 1 - len(said) - len(out))
    return [*out, *said, line((" Enter opens  up and down choose  Esc goes back", "dim"))]


def _progress(view: RepositoryView) -> str:
    if not view.offers:
        return "asking the Hub" if not view.notice else ""
    if view.complete:
        return f"{len(view.offers)} models"
    return f"reading header {len(view.rows) + 1} of {len(view.offers)}: {view.read_bytes / MIB:.1f} MiB"


def _said(view: RepositoryView, width: int) -> list[Line]:
    """What is going on; else all of what the row under the cursor says."""
    if view.opening:
        return [line((" reading the header: Esc gives it up", "dim"))]
    if view.notice:
        return [line((f" {part}", "warning")) for part in wrapped(view.notice, width - 1)]
    if view.at >= len(view.rows):
        return [line("")]
    row = view.rows[view.at]
    taken = "; what llama-server takes unless another is named" if row.offer.name == view.usual else ""
    return [line((f" {part}", "dim")) for part in wrapped(f"{row.offer.name}: {row.how}{taken}", width - 1)]


def _row(offer: "Offer", row: "Fitting | None", selected: bool, name_width: int, width: int) -> Line:
    name = cut(printable(offer.name), name_width)
    name += " " * (name_width - columns(name))
    fits, how = ("...", "") if row is None else ("yes" if row.fits else "no", row.how)
    text = f"{name} {amount(offer.n_bytes):>10}  {fits:<4}  {cut(printable(how), max(width - name_width - _AROUND - 3, 0))}"
    return line((f"{' > ' if selected else '   '}{text}", "cursor" if selected else "text"))
