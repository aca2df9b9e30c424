"""What llama-server said of plans in dry runs while the app is open: asked once for one program and one set of flags."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvtui.base.findings import Finding
from kvtui.base.late import Late

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.measure.dry_run import DryRun
    from kvtui.server.measure.over import verdict
else:  # not needed by the first screen
    verdict = Late("kvtui.server.measure.over", "verdict")

Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]  # identity of the program, flags, environment
_MOST = 64  # answers


def key_of(binary: "ServerBinary", plan: "Plan") -> Key:
    """Equal for plans of one model of which the answer is the same."""
    return binary.identity, plan.argv, plan.env


@dataclass(frozen=True)
class DryRuns:
    """Answers by what was asked, the newest last."""

    known: tuple[tuple[Key, "DryRun"], ...] = ()

    def knows(self, key: Key) -> bool:
        """Whether that was answered."""
        return any(k == key for k, _ in self.known)

    def plus(self, key: Key, answer: "DryRun") -> "DryRuns":
        """With one answer more."""
        others = tuple(entry for entry in self.known if entry[0] != key)
        return DryRuns((*others, (key, answer))[-_MOST:])

    def verdicts(self, binary: "ServerBinary | None", plan: "Plan") -> tuple[Finding, ...]:
        """What is known of this plan, as one sentence; () while nothing is."""
        if binary is None:
            return ()
        key = key_of(binary, plan)
        return tuple(
            verdict(plan.request.machine, plan.request.margin_bytes, plan.estimate, a) for k, a in self.known if k == key
        )
