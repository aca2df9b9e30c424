"""Write kvtui/data/required-keys.txt from llama.cpp's source: a line an architecture, its name and the keys without which its
header is refused. Keys that are asked for under a condition are left out, unless the condition is the architecture.

python tests/data/make/required_keys.py LLAMA_CPP [--check]"""

import re
import sys
from pathlib import Path

DATA = Path(__file__).parents[3] / "kvtui" / "data" / "required-keys.txt"
HEADING = "# of every header, then by architecture: src/llama-model.cpp, load_hparams, and src/models, load_arch_hparams"
_ASKED = re.compile(r"ml\.get_(?:key|arr|arr_n|key_or_arr)\(\s*(LLM_KV_\w+)\s*,([^;]*)\);")
_OPTIONAL = re.compile(r",\s*(?:false|0|0\.0f)\s*$")  # `required`, the last argument
_OF_ARCHITECTURES = re.compile(r"if \(((?:arch == LLM_ARCH_\w+(?: \|\| )?)+)\) \{$")


def main() -> int:
    """As the module's text says. 1 where --check finds a difference."""
    new = table(Path(sys.argv[1]) / "src")
    if "--check" not in sys.argv:
        DATA.write_text("\n".join([HEADING, *new]) + "\n")
        return 0
    changed = sorted(set(new) ^ set(DATA.read_text().splitlines()[1:]))
    print("\n".join(changed))
    return int(bool(changed))


def table(source: Path) -> list[str]:
    """The lines, `*` first: of every header."""
    arch = (source / "llama-arch.cpp").read_text()
    names = dict(re.findall(r"\{ (LLM_ARCH_\w+),\s*\"([^\"]+)\"", arch))
    keys = dict(re.findall(r"\{ (LLM_KV_\w+),\s*\"([^\"]+)\"", arch))
    model = (source / "llama-model.cpp").read_text()
    classes = _classes(model)
    bases = dict(re.findall(r"struct (llama_model_\w+) : public (llama_model_\w+)", (source / "models" / "models.h").read_text()))
    bodies = {
        name: body
        for file in sorted((source / "models").glob("*.cpp"))
        for name, body in re.findall(
            r"^void (llama_model_\w+)::load_arch_hparams\([^)]*\) \{\n(.*?)^\}", file.read_text(), re.DOTALL | re.MULTILINE
        )
    }
    common = re.search(r"^void llama_model_base::load_hparams\([^)]*\) \{\n(.*?)^\}", model, re.DOTALL | re.MULTILINE)
    assert common is not None
    of_all = required(common[1], "")
    lines = [" ".join(["*", *dict.fromkeys(keys[kv] for kv in of_all)])]
    for constant, name in sorted(names.items(), key=lambda x: x[1]):
        held = classes.get(constant)
        found = [kv for kv in required(common[1], constant) if kv not in of_all]
        while held in bases:
            body = bodies.get(held, "")
            found += required(body, constant)
            calls = re.search(r"(llama_model_\w+)::load_arch_hparams\(ml\)", body)
            held = calls[1] if calls else None if held in bodies else bases[held]
        if found:
            lines.append(" ".join([name, *dict.fromkeys(keys[kv] for kv in found)]))
    return lines


def _classes(model: str) -> dict[str, str]:
    """The class that each architecture is made with, by `llama_model_mapping`."""
    mapping = re.findall(r"((?:case LLM_ARCH_\w+:\s*)+)return new (llama_model_\w+)\(params\)", model)
    return {constant: held for cases, held in mapping for constant in re.findall(r"LLM_ARCH_\w+", cases)}


def required(body: str, constant: str) -> list[str]:
    """The keys a function's body asks of the architecture `constant` whatever else is in the header."""
    found: list[str] = []
    blocks: list[bool] = []  # those around a line: whether they run for the architecture, whatever the header says
    for line in re.sub(r"//[^\n]*|/\*.*?\*/", "", body).splitlines():
        code = line.strip()
        if code.startswith("}") and blocks:
            blocks.pop()
        asked = _ASKED.search(code)
        if asked and all(blocks) and not code.startswith("if") and not _OPTIONAL.search(f",{asked[2]}"):
            found.append(asked[1])
        if code.endswith("{"):
            only = _OF_ARCHITECTURES.match(code)
            blocks.append(constant in re.findall(r"LLM_ARCH_\w+", only[1]) if only else code == "{")
    return found


if __name__ == "__main__":
    sys.exit(main())
