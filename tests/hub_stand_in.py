"""A Hub on loopback: it speaks the API that huggingface_hub asks, hands files out by ranges from a second origin, and
keeps what it was asked."""

import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from gguf.constants import GGMLQuantizationType

from kvtui.header.reader import read_header
from kvtui.header.source import HeaderBytes

TOKEN = "hf_" + "S3cret" * 6


@dataclass(frozen=True)
class Stored:
    """A sparse file: its first bytes, and its size."""

    head: bytes
    size: int


@dataclass
class Asked:
    """A request: which server heard it, what for, with which token, from which program, and the bytes it sent."""

    server: str
    path: str
    token: str
    agent: str
    sent: int = 0


@dataclass
class Hub:
    """`repos`: files by path. `private`: repositories that want TOKEN; `gated`: those whose files do. `page`: entries a
    page. `status`: what the API answers instead; `elsewhere`: where it sends questions."""

    repos: dict[str, dict[str, Stored]]
    private: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    page: int = 1000
    status: int = 0
    elsewhere: str = ""
    hold: threading.Event = field(default_factory=threading.Event)  # not set: files wait, once `holding`
    holding: bool = False
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    cdn: str = ""

    def served(self, server: str) -> int:
        """Bytes of all answers."""
        return sum(a.sent for a in self.asked if a.server == server)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    role: str

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.asked.sent += len(body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.asked = Asked(self.role, self.path, self.headers.get("Authorization", ""), self.headers.get("User-Agent", ""))
        self.hub.asked.append(self.asked)
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        known = self.asked.token == f"Bearer {TOKEN}"
        try:
            if self.role == "cdn":
                self.file("/".join(words[:2]), "/".join(words[2:]))
            elif words[:2] == ["api", "models"]:
                self.listing("/".join(words[2:4]), words[4:], known)
            else:
                self.resolve("/".join(words[:2]), "/".join(words[4:]), known)
        except OSError:
            pass  # whoever asked has gone

    def listing(self, repo: str, rest: list[str], known: bool) -> None:
        if self.hub.elsewhere:
            return self.answer(302, Location=f"{self.hub.elsewhere}{self.path}")
        if self.hub.status:
            return self.answer(self.hub.status)
        if repo in self.hub.private and not known:
            return self.answer(401, b'{"error":"Invalid username or password."}')
        if repo not in self.hub.repos or rest != ["tree", "main"]:
            return self.answer(404, b'{"error":"Repository not found"}', X_Error_Code="RepoNotFound")
        paths = list(self.hub.repos[repo])
        start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        entries = [
            {"type": "file", "oid": "0" * 40, "size": self.hub.repos[repo][path].size, "path": path}
            for path in paths[start : start + self.hub.page]
        ]
        more = start + self.hub.page < len(paths)
        link = f"{self.hub.url}/api/models/{repo}/tree/main?recursive=True&cursor={start + self.hub.page}"
        headers = {"Link": f'<{link}>; rel="next"'} if more else {}
        return self.answer(200, json.dumps(entries).encode(), Content_Type="application/json", **headers)

    def resolve(self, repo: str, path: str, known: bool) -> None:
        if repo in self.hub.gated | self.hub.private and not known:
            return self.answer(401, X_Error_Code="GatedRepo")
        if path not in self.hub.repos.get(repo, {}):
            return self.answer(404)
        return self.answer(302, Location=f"{self.hub.cdn}/{repo}/{path}?signature=abc")

    def file(self, repo: str, path: str) -> None:
        if self.hub.holding:
            self.hub.hold.wait(30)
        stored = self.hub.repos[repo][path]
        first, last = (int(x) for x in self.headers["Range"].removeprefix("bytes=").split("-"))
        last = min(last, stored.size - 1)
        body = stored.head[first : last + 1].ljust(last + 1 - first, b"\0")
        self.answer(206, body, Content_Range=f"bytes {first}-{last}/{stored.size}")


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The Hub and its second origin, each on a port of its own."""
    servers = []
    for role in ("hub", "cdn"):
        handler = type("Handler", (_Handler,), {"hub": hub, "role": role})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
    hub.url, hub.cdn = (f"http://127.0.0.1:{server.server_port}" for server, _ in servers)
    try:
        yield hub
    finally:
        hub.hold.set()
        for server, thread in servers:
            server.shutdown()
            server.server_close()
            thread.join()


def in_two_parts(head: bytes, size: int) -> tuple[Stored, Stored]:
    """A model's header as a split set of two has it: keys and the first half of its tensors, then the other half."""
    tensors = read_header(HeaderBytes(head, size)).tensors
    name = tensors[0].name.encode()
    keys = head[24 : head.index(struct.pack("<Q", len(name)) + name)]
    (n_keys,) = struct.unpack_from("<Q", head, 16)
    half = len(tensors) // 2
    parts = []
    for number, mine in enumerate((tensors[:half], tensors[half:])):
        split = _key("split.no", 2, struct.pack("<H", number)) + _key("split.count", 2, struct.pack("<H", 2))
        split += _key("split.tensors.count", 5, struct.pack("<i", len(tensors)))
        own = keys if number == 0 else b""
        out = b"GGUF" + struct.pack("<IQQ", 3, len(mine), 3 + (n_keys if number == 0 else 0)) + own + split
        for t in mine:
            dims = struct.pack(f"<I{len(t.dims)}Q", len(t.dims), *t.dims)
            out += struct.pack("<Q", len(t.name.encode())) + t.name.encode() + dims
            out += struct.pack("<IQ", GGMLQuantizationType[t.type_name.upper()].value, t.offset - mine[0].offset)
        parts.append(Stored(out, size + len(out)))
    return parts[0], parts[1]


def _key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value
