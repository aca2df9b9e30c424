"""Where a model is: a path, a URL or a name of the Hub, which shows itself without what is secret in it."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from kvtui.base.findings import UsageError
from kvtui.base.secrets import shown_url
from kvtui.header.hub_name import HUB_PREFIX, HubName, hub_name


@dataclass(frozen=True, repr=False)
class ModelAddress:
    """`str()` and `repr()` are for people, logs and files: without user, password, query and fragment of a URL.
    `whole` is what opens it; `file_url` where a name of the Hub was found to lie, "" until then."""

    whole: str
    file_url: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            named = b"\0" not in os.fsencode(self.whole)
        except UnicodeEncodeError:
            named = False
        if not named:
            raise UsageError(f"{self.whole!r} is no file's name")
        if self.is_hub:
            hub_name(self.whole)

    @property
    def is_url(self) -> bool:
        """Whether it is behind http(s)."""
        return self.whole.lower().startswith(("http://", "https://"))

    @property
    def is_hub(self) -> bool:
        """Whether it is a name of the Hub."""
        return self.whole.startswith(HUB_PREFIX)

    @property
    def is_remote(self) -> bool:
        """Whether its header is read over http(s)."""
        return self.is_url or self.is_hub

    @property
    def hub(self) -> HubName:
        """The parts of a name of the Hub. UsageError for anything else."""
        return hub_name(self.whole)

    @property
    def url(self) -> str:
        """Where its header is read, with what is secret; "" for a path, and for a name of the Hub not looked up yet."""
        return self.whole if self.is_url else self.file_url

    @property
    def path(self) -> Path:
        """The local file. UsageError for what is elsewhere."""
        if self.is_remote:
            raise UsageError(f"{self}: llama-server needs the file on this machine; download it and name it here")
        return Path(self.whole)

    @property
    def name(self) -> str:
        """The file's name."""
        if not self.is_remote:
            return Path(self.whole).name
        try:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name
        except ValueError:
            return ""

    @property
    def stem(self) -> str:
        """The name without `.gguf`: what a model without a name of its own is called."""
        return Path(self.name).stem

    @property
    def flags(self) -> tuple[str, ...]:
        """llama-server's options for it (common/arg.cpp: -m a file, -mu a URL that it downloads, -hf a name of the Hub,
        with which it would load the repository's projector unasked)."""
        if self.is_hub:
            return ("-hf", self.whole.removeprefix(HUB_PREFIX), "--no-mmproj")
        return ("-mu" if self.is_url else "-m"), str(self)

    def __str__(self) -> str:
        return shown_url(self.whole) if self.is_url else self.whole

    def __repr__(self) -> str:
        return f"ModelAddress({str(self)!r})"
