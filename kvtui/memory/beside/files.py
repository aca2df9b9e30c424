"""The files that a person loads beside the model."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvtui.flags.beside import BesideFlags
from kvtui.model.spec import ModelSpec

if TYPE_CHECKING:
    from kvtui.model.projector import Projector


@dataclass(frozen=True)
class Beside:
    """What a person loads beside the model: the flags, and the headers of the files that they name."""

    flags: BesideFlags = field(default_factory=BesideFlags)
    draft: ModelSpec | None = None
    projector: "Projector | None" = None
