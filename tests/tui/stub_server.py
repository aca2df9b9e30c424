"""A program that answers as llama-server does where the app looks, and prints of a load the lines it is given."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtui.server.process.address import Address
from kvtui.server.process.ports import free_port

MIB = 2**20
HELP = """\
-c,    --ctx-size N                    context
-b,    --batch-size N                  batch
-ub,   --ubatch-size N                 physical batch
-np,   --parallel N                    slots
-ctk,  --cache-type-k TYPE             K
-ctv,  --cache-type-v TYPE             V
-fa,   --flash-attn [on|off|auto]      attention
-ngl,  --n-gpu-layers N                layers
-ncmoe, --n-cpu-moe N                  experts
-ot,   --override-tensor PATTERN       places
-ts,   --tensor-split N0,N1            shares
-sm,   --split-mode MODE               split
-dev,  --device DEV                    devices
-lm,   --load-mode MODE                mode
-kvu,  --kv-unified, -no-kvu, --no-kv-unified   one cache
-lv,   --verbosity, --log-verbosity N  level
--host HOST                            address
--port PORT                            port
--metrics                              metrics
--list-devices                         devices
"""

_PROGRAM = """\
#!{python}
import sys, threading, time
if "--help" in sys.argv:
    print({help!r})
elif "--version" in sys.argv:
    print("version: 11434 (abcdef0)")
elif "--list-devices" in sys.argv:
    print(open({devices!r}).read())
elif sys.argv[-2:] == ["--port", "0"]:
    sys.exit(1)  # asked for its kernels
else:
    for line in open({lines!r}):
        print(line, end="", flush=True)
    if {code!r} is not None:
        sys.exit({code!r})
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/health"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b'{{"status": "ok"}}' if found else b"")
        def log_message(self, *args):
            pass
    def talk():
        began = time.monotonic()
        for i in range(1 << 62):
            time.sleep(max(began + i / {talks} - time.monotonic(), 0))
            clock = f"{{i // 6000}}.{{i // 100 % 60:02}}.{{i % 100 * 10:03}}.000"
            print(f"{{clock}} I slot update_slots: id {{i % 4:2}} | task {{i * 7919 % 1000}} | "
                  f"prompt processing progress, n_tokens = {{i * 64 % 9973}}, progress = {{i % 97 / 97:.6f}}", flush=True)
    if {talks}:
        threading.Thread(target=talk, daemon=True).start()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""
READY = "0.00.100.000 I main: model loaded\n"


@dataclass(frozen=True)
class Stub:
    """`path` is the program; its two texts may be written anew between launches."""

    path: Path
    devices: Path
    lines: Path

    def say(self, lines: Sequence[str]) -> None:
        """Of the next load."""
        self.lines.write_text("".join(f"{line}\n" for line in lines))

    def have(self, free_mib: Sequence[tuple[str, int, int]]) -> None:
        """Devices from now on: (name, total, free), MiB."""
        rows = "".join(f"  {name}: RTX 3090 ({total} MiB, {free} MiB free)\n" for name, total, free in free_mib)
        self.devices.write_text(f"Available devices:\n{rows}")


def stub_server(folder: Path, code: int | None = None, talks: int = 0) -> Stub:
    """One that is ready at once and stays; with `code` it ends by that after its lines. `talks`: lines a second from then on."""
    folder.mkdir(parents=True, exist_ok=True)
    stub = Stub(folder / "llama-server", folder / "devices.txt", folder / "lines.txt")
    stub.lines.write_text(READY)
    stub.have(())
    files = {"devices": str(stub.devices), "lines": str(stub.lines)}
    text = _PROGRAM.format(python=sys.executable, help=HELP, code=code, talks=talks, **files)
    stub.path.write_text(text)
    stub.path.chmod(0o755)
    return stub


def free_address() -> Address:
    """Where nothing listens: whatever else runs on this machine has its own."""
    return Address(free_port(0).port)
