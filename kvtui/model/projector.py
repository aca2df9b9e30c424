"""What a projector's file (--mmproj) says of itself: tools/mtmd/clip.cpp, clip_model_loader."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kvtui.header.reader import Header, HeaderError, TensorInfo
from kvtui.header.source import open_header

ARCHITECTURE = "clip"


@dataclass(frozen=True)
class Encoder:
    """One encoder of the file. `modality`: vision or audio; `kind`: its projector type."""

    modality: str
    kind: str


@dataclass(frozen=True, eq=False)
class Projector:
    """A projector; equal to itself alone."""

    name: str
    encoders: tuple[Encoder, ...]
    header: Header = field(repr=False)

    @cached_property
    def tensors(self) -> dict[str, TensorInfo]:
        """Tensors by name."""
        return {t.name: t for t in self.header.tensors}

    def number(self, key: str, default: float = 0) -> float:
        """A number of the header, by its key behind `clip.`."""
        value = self.header.metadata.get(f"{ARCHITECTURE}.{key}", default)
        return float(value) if isinstance(value, (int, float)) else default


def load_projector(path: Path) -> Projector:
    """The projector at `path`. Raises HeaderError with one sentence."""
    return projector_from_header(open_header(path), path.name)


def projector_from_header(header: Header, name: str) -> Projector:
    """Its encoders, with the projector type of each: one for all, or one a modality."""
    keys = header.metadata
    architecture = keys.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise HeaderError(f"{name} is no projector: its architecture is {architecture}, not {ARCHITECTURE}")
    found = []
    for modality in ("vision", "audio"):
        if keys.get(f"{ARCHITECTURE}.has_{modality}_encoder"):
            kind = keys.get(f"{ARCHITECTURE}.projector_type") or keys.get(f"{ARCHITECTURE}.{modality}.projector_type")
            if not isinstance(kind, str):
                raise HeaderError(f"{name}: the type of its {modality} projector is missing")
            found.append(Encoder(modality, kind))
    if not found:
        raise HeaderError(f"{name}: a projector has an encoder of images or of sound, and this has neither")
    return Projector(name, tuple(found), header)
