"""Where a model is: a path or a URL, which shows itself without what is secret in it."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from kvtui.base.findings import UsageError
from kvtui.base.secrets import shown_url


@dataclass(frozen=True, repr=False)
class ModelAddress:
    """`str()` and `repr()` are for people, logs and files: without user, password, query and fragment of a URL.
    `whole` is what opens it."""

    whole: str

    def __post_init__(self) -> None:
        try:
            named = b"\0" not in os.fsencode(self.whole)
        except UnicodeEncodeError:
            named = False
        if not named:
            raise UsageError(f"{self.whole!r} is no file's name")

    @property
    def is_url(self) -> bool:
        """Whether it is behind http(s)."""
        return self.whole.lower().startswith(("http://", "https://"))

    @property
    def path(self) -> Path:
        """The local file. UsageError for a URL."""
        if self.is_url:
            raise UsageError(f"{self}: llama-server needs the file on this machine; download it and name it here")
        return Path(self.whole)

    @property
    def name(self) -> str:
        """The file's name."""
        if not self.is_url:
            return Path(self.whole).name
        try:
            return PurePosixPath(unquote(urlsplit(self.whole).path)).name
        except ValueError:
            return ""

    @property
    def stem(self) -> str:
        """The name without `.gguf`: what a model without a name of its own is called."""
        return Path(self.name).stem

    @property
    def flags(self) -> tuple[str, str]:
        """llama-server's option for it (common/arg.cpp: -m a file, -mu a URL that it downloads)."""
        return ("-mu" if self.is_url else "-m"), str(self)

    def __str__(self) -> str:
        return shown_url(self.whole) if self.is_url else self.whole

    def __repr__(self) -> str:
        return f"ModelAddress({str(self)!r})"
