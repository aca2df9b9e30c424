"""`hf:ORG/REPO[:QUANT]`: a model by its place on the Hugging Face Hub, as llama-server's -hf takes it."""

import re
from dataclasses import dataclass

from kvtui.base.findings import UsageError

HUB_PREFIX = "hf:"
_MOST_REPO = 256  # characters (common/hf-cache.cpp, is_valid_repo_id)
_WORD = r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*"
_REPO = re.compile(rf"{_WORD}/{_WORD}")
_QUANT = re.compile(r"[\w./-]+", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """`repo` is ORG/REPO; `quant` the part of a file's name that chooses it, "" where none was given."""

    repo: str
    quant: str = ""

    def __str__(self) -> str:
        return f"{HUB_PREFIX}{self.repo}{f':{self.quant}' if self.quant else ''}"


def hub_name(text: str) -> HubName:
    """The parts of `hf:ORG/REPO[:QUANT]` (common/download.cpp, common_download_split_repo_tag). Raises UsageError."""
    repo, colon, quant = text[len(HUB_PREFIX) :].partition(":")
    if not _REPO.fullmatch(repo) or len(repo) > _MOST_REPO or (colon and not _QUANT.fullmatch(quant)):
        raise UsageError(f"{text}: a model of the Hub is written as hf:ORG/REPO or hf:ORG/REPO:QUANT")
    return HubName(repo, quant)
