"""A plan as a service of docker compose: the official image, the devices of its back end, the models' folders read-only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kvtui.server.binary.environment import LAUNCH_ENVIRONMENT
from kvtui.server.binary.exports import ExportError, check_words

IMAGE = "ghcr.io/ggml-org/llama.cpp"  # docs/docker.md, "Images"
INSIDE_PORT = 8080  # .devops/*.Dockerfile: the image asks for its health there, whatever the build listens on by itself
_FILE_OPTIONS = ("-mm", "--mmproj", "-md", "--model-draft", "--spec-draft-model")
# Folders of the image that a mount of the same name would hide.
_OF_THE_IMAGE = frozenset(map(Path, ("/", "/app", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")))
_DRI = ("devices:", "  - /dev/dri:/dev/dri", 'group_add: ["video"]')


@dataclass(frozen=True)
class _Image:
    """The tag of an image for one back end, and the lines that give it the devices."""

    tag: str
    devices: tuple[str, ...] = ()


_NVIDIA = (
    "deploy:",
    "  resources:",
    "    reservations:",
    "      devices:",
    "        - driver: nvidia",
    "          count: all  # the plan counts them as nvidia-smi does",
    "          capabilities: [gpu]",
)
IMAGES: Mapping[str, _Image] = {
    "CPU": _Image("server"),
    "CUDA": _Image("server-cuda", _NVIDIA),
    "ROCm": _Image("server-rocm", ("devices:", "  - /dev/kfd:/dev/kfd", *_DRI[1:])),
    "SYCL": _Image("server-intel", _DRI),
    "Vulkan": _Image("server-vulkan", _DRI),
}


def compose_file(
    name: str,
    model: Path,
    argv: Sequence[str],
    env: Mapping[str, str],
    backends: Sequence[str],
    published: tuple[str, int],
    build: str,
) -> str:
    """`backends`: of the devices that the plan uses, RAM's aside. `published`: address and port on the host. The folders
    keep their paths inside, so that links between them hold. Compose takes $ for a variable unless it is doubled."""
    check_words(argv, env)
    image = IMAGES.get(_one_backend(backends))
    if image is None:
        raise ExportError(f"there is no official image of llama-server for {_one_backend(backends)}")
    words = ["-m", str(model), *argv, "--host", "0.0.0.0", "--port", str(INSIDE_PORT)]
    environment = {**LAUNCH_ENVIRONMENT, **env}
    locks = any("mlock" in word for word in argv if not word.startswith("/"))
    lines = [
        "services:",
        f"  {_yaml(name)}:",
        f"    # your image; a tag that ends in -{build or 'bN'} is one build for good",
        f"    image: {_yaml(f'{IMAGE}:{image.tag}')}",
        "    command:",
        *(f"      - {_yaml(word)}" for word in words),
        "    environment:",
        *(f"      {_yaml(key)}: {_yaml(value)}" for key, value in environment.items()),
        "    ports:",
        f"      - {_yaml(_published(*published))}",
        "    volumes:",
        *(line for folder in _folders(model, argv) for line in _mount(folder)),
        *(f"    {line}" for line in image.devices),
        *(["    ulimits:", "      memlock: -1"] if locks else []),
        "    stop_signal: SIGINT",
        "    stop_grace_period: 30s",
        "    restart: on-failure",
    ]
    return "\n".join(lines) + "\n"


def _published(host: str, port: int) -> str:
    address = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
    return f"{address}:{port}:{INSIDE_PORT}"


def _one_backend(backends: Sequence[str]) -> str:
    found = tuple(dict.fromkeys(backends)) or ("CPU",)
    if "RPC" in found:
        raise ExportError("a container does not see RPC servers on this machine's loopback: take the command or the script")
    if len(found) > 1:
        raise ExportError(f"no official image has both {' and '.join(found)}")
    return found[0]


def _folders(model: Path, argv: Sequence[str]) -> tuple[Path, ...]:
    """Of the model and of what is loaded beside it, also where those are only links to."""
    files = [model, *(Path(value).absolute() for option, value in pairwise(argv) if option in _FILE_OPTIONS)]
    parents = tuple(dict.fromkeys(p.parent for f in files for p in (f, f.resolve())))
    hidden = next((p for p in parents if p in _OF_THE_IMAGE), None)
    if hidden is not None:
        raise ExportError(f"{hidden} cannot be mounted over the image's own: move the model to another folder")
    return parents


def _mount(folder: Path) -> tuple[str, ...]:
    said = _yaml(str(folder))
    return ("      - type: bind", f"        source: {said}", f"        target: {said}", "        read_only: true")


def _yaml(text: str) -> str:
    if any("\udc80" <= c <= "\udfff" for c in text):
        raise ExportError(f"{text!r} is no UTF-8, which YAML must be")
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "$":
        return "$$"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
