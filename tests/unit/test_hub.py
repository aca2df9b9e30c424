"""Models of the Hub, from a stand-in on loopback that speaks its API, with headers of real models."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from header_archive import HeaderArchive
from hub_stand_in import TOKEN, Hub, Stored, in_two_parts, serving

from kvtui.base.findings import UsageError
from kvtui.header.address import ModelAddress
from kvtui.header.hub.endpoint import endpoint_of
from kvtui.header.hub.listing import hub_files
from kvtui.header.hub.quantizations import HubFile, chosen_file, quantizations
from kvtui.header.hub_name import hub_name
from kvtui.header.reader import HeaderError

REPO = "someone/Some-Model-GGUF"
HERE = ("--device", "CUDA0=23GiB/24GiB@936GB/s", "--ram", "60GiB@60GB/s")
GEMMA = "gemma-3-27b-q4_k_m"


def stored(headers: HeaderArchive, name: str) -> Stored:
    return Stored(headers.head(name), headers._index[name]["size"])


@pytest.fixture
def hub(headers: HeaderArchive) -> Iterator[Hub]:
    kimi = Stored(files("kvtui.data").joinpath("kimi-k2.head").read_bytes(), 666_071_228_960)
    small = stored(headers, "gemma3-dense")
    one, two = in_two_parts(small.head, small.size)
    text = Stored(b"words", 5)
    several = {
        "BF16/Some-BF16-00001-of-00002.gguf": one,
        "BF16/Some-BF16-00002-of-00002.gguf": two,
        "README.md": text,
        "Some-Q4_K_M.gguf": stored(headers, GEMMA),
        "Some-Q8_0.gguf": kimi,
        "Some-UD-Q4_K_M.gguf": small,
        "mmproj-Some-F16.gguf": small,
    }
    single = {"Only-IQ4_XS.gguf": small, "README.md": text}
    lacking = {"Some-Q4_0-00001-of-00002.gguf": one, "Some-Q8_0.gguf": small}
    repos = {REPO: several, "someone/one": single, "someone/lacking": lacking, "someone/words": {"README.md": text}}
    with serving(Hub(repos)) as running:
        yield running


def run(hub: Hub, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "HF_ENDPOINT", "MODEL_ENDPOINT", "HF_HUB_OFFLINE")}
    command = [sys.executable, "-m", "kvtui", *args]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={**plain, "HF_ENDPOINT": hub.url, **env},
    )


def estimate(hub: Hub, model: str, **env: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = run(hub, "estimate", model, *HERE, "--json", "--", "-c", "4096", **env)
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)


def test_a_quantization_is_planned_from_its_headers_ranges(hub: Hub) -> None:
    done = run(hub, "plan", f"hf:{REPO}:Q4_K_M", *HERE, "-c", "8192", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert value["model"]["path"] == f"hf:{REPO}:Q4_K_M"
    assert value["model"]["architecture"] == "gemma3"
    assert value["model"]["weights_bytes"] > 15 * 2**30
    head = len(hub.repos[REPO]["Some-Q4_K_M.gguf"].head)
    assert hub.served("cdn") <= max(head * 4, 128 << 10)  # requests double as a header turns out long
    assert {a.path.partition("?")[0] for a in hub.asked if a.server == "cdn"} == {f"/{REPO}/Some-Q4_K_M.gguf"}


def test_the_command_that_is_shown_downloads_just_that_model(hub: Hub) -> None:
    done = run(hub, "plan", f"hf:{REPO}:q4_k_m", *HERE, "-c", "8192")
    assert f"llama-server -hf {REPO}:Q4_K_M --no-mmproj " in done.stdout


def test_all_parts_of_a_split_set_are_joined(hub: Hub, headers: HeaderArchive) -> None:
    _, value = estimate(hub, f"hf:{REPO}:BF16")
    assert value["model"]["tensors"] == len(headers["gemma3-dense"].tensors)
    assert len({a.path for a in hub.asked if a.server == "cdn"}) == 2


def test_without_a_quantization_the_usual_one_is_taken_and_said(hub: Hub) -> None:
    done, value = estimate(hub, f"hf:{REPO}")
    assert value["model"]["path"] == f"hf:{REPO}:Q4_K_M"
    assert done.stderr == f"kvtui: hf:{REPO}: Q4_K_M is taken; there is also BF16, Q8_0, UD-Q4_K_M\n"


def test_where_there_is_one_nothing_is_said(hub: Hub) -> None:
    done, value = estimate(hub, "hf:someone/one")
    assert value["model"]["path"] == "hf:someone/one:IQ4_XS"
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["plan", "table", "estimate"])
def test_all_commands_take_the_name(hub: Hub, command: str) -> None:
    done = run(hub, command, "hf:someone/one:iq4_xs", *HERE, "-c", "4096", "--json")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (f"hf:{REPO}:Q5_K_M", r"there is no such quantization; there is BF16, Q4_K_M, Q8_0, UD-Q4_K_M"),
        (f"hf:{REPO}:mmproj-Some-F16", "there is no such quantization"),
        ("hf:someone/nothing", r"127\.0\.0\.1:\d+ has no such repository \(HTTP 404\)"),
        ("hf:someone/words", "there is no GGUF model in this repository"),
        ("hf:someone/lacking:Q4_0", r"Some-Q4_0-00001-of-00002\.gguf: the repository holds 1 of its 2 parts"),
        ("hf:someone", "written as hf:ORG/REPO or hf:ORG/REPO:QUANT"),
        ("hf:a/b/c", "written as hf:ORG/REPO"),
        ("hf:someone/../x", "written as hf:ORG/REPO"),
        ("hf:someone/one:", "written as hf:ORG/REPO"),
        ("hf:someone/one:(a+)+$", "written as hf:ORG/REPO"),
    ],
)
def test_what_is_not_there_is_one_sentence(hub: Hub, model: str, sentence: str) -> None:
    import re

    done = run(hub, "plan", model, *HERE, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert re.search(sentence, done.stderr), done.stderr


@pytest.mark.parametrize("what", ["private", "gated"])
def test_a_repository_that_is_not_open(hub: Hub, what: str) -> None:
    getattr(hub, what).add(REPO)
    for env, said in (({}, "HF_TOKEN is not set"), ({"HF_TOKEN": TOKEN[::-1]}, "HF_TOKEN does not open it")):
        done = run(hub, "plan", f"hf:{REPO}:Q4_K_M", *HERE, **env)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert "refuses access (HTTP 401)" in done.stderr
        assert "private or gated" in done.stderr
        assert said in done.stderr
        assert TOKEN[::-1] not in done.stderr


@pytest.mark.parametrize("what", ["private", "gated"])
def test_the_token_opens_it_and_is_told_to_the_hub_alone(hub: Hub, what: str) -> None:
    getattr(hub, what).add(REPO)
    done = run(hub, "plan", f"hf:{REPO}:Q4_K_M", *HERE, "-c", "8192", HF_TOKEN=TOKEN)
    assert done.returncode == 0
    assert TOKEN not in done.stdout + done.stderr
    assert {a.token for a in hub.asked if a.server == "hub"} == {f"Bearer {TOKEN}"}
    assert {a.token for a in hub.asked if a.server == "cdn"} == {""}


def test_a_question_sent_to_another_host_is_not_followed(hub: Hub) -> None:
    hub.elsewhere = hub.cdn
    done = run(hub, "plan", "hf:someone/one", *HERE, HF_TOKEN=TOKEN)
    assert done.returncode == 2
    assert "sends the question for its files to another host, which is not followed" in done.stderr
    assert [a for a in hub.asked if a.server == "cdn"] == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_asked_once(hub: Hub, status: int) -> None:
    hub.status = status
    done = run(hub, "plan", "hf:someone/one", *HERE)
    assert done.returncode == 2
    assert done.stderr.endswith(f"answers HTTP {status}\n")
    assert len(hub.asked) == 1


def test_no_network(hub: Hub) -> None:
    done = run(hub, "plan", "hf:someone/one", *HERE, HF_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "hf:someone/one: 127.0.0.1:1 cannot be reached" in done.stderr
    done = run(hub, "plan", "hf:someone/one", *HERE, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert hub.asked == []


@pytest.mark.parametrize("address", ["file:///etc", "https://", "https://me:word@host", "http://[", "https://host/?a=b"])
def test_what_is_no_hub(address: str) -> None:
    with pytest.raises(UsageError, match="HF_ENDPOINT is no address of a Hub") as error:
        endpoint_of({"HF_ENDPOINT": address})
    assert "word" not in str(error.value)


def test_a_token_that_is_none_is_not_shown() -> None:
    with pytest.raises(UsageError, match="HF_TOKEN holds what no token has") as error:
        endpoint_of({"HF_TOKEN": "hf_secret\nX-Evil: 1"})
    assert "secret" not in str(error.value)
    assert "hf_abc" not in repr(endpoint_of({"HF_TOKEN": "hf_abc"})) + repr(endpoint_of({"HF_TOKEN": "hf_abc"}).access)


def test_the_hub_hears_who_asks_and_no_more(hub: Hub) -> None:
    hub_files(hub_name("hf:someone/one"), endpoint_of({"HF_ENDPOINT": hub.url}))
    assert [(a.path.partition("?")[0], a.agent) for a in hub.asked] == [("/api/models/someone/one/tree/main", "kvtui")]


def test_every_page_of_a_long_list_is_read(hub: Hub) -> None:
    hub.page = 2
    listed = hub_files(hub_name(f"hf:{REPO}"), endpoint_of({"HF_ENDPOINT": hub.url}))
    assert [f.path for f in listed] == list(hub.repos[REPO])


def test_a_list_is_given_up_as_soon_as_nobody_waits(hub: Hub) -> None:
    hub.page = 1

    def gone() -> None:
        if len(hub.asked) == 2:
            raise HeaderError("nobody waits")

    with pytest.raises(HeaderError, match="nobody waits"):
        hub_files(hub_name(f"hf:{REPO}"), endpoint_of({"HF_ENDPOINT": hub.url}), gone)
    assert len(hub.asked) == 2


def test_a_row_a_quantization_says_whether_and_how_it_fits(hub: Hub) -> None:
    done = run(hub, "models", f"hf:{REPO}", *HERE, "-c", "8192", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert value["default"] == "Q4_K_M"
    rows = {row["name"]: row for row in value["rows"]}
    assert list(rows) == ["BF16", "Q4_K_M", "Q8_0", "UD-Q4_K_M"]
    assert {name: row["fits"] for name, row in rows.items()} == {
        "BF16": True, "Q4_K_M": True, "Q8_0": False, "UD-Q4_K_M": True,
    }  # fmt: skip
    assert rows["BF16"]["files"] == 2
    assert rows["Q8_0"]["size_bytes"] == 666_071_228_960
    assert rows["Q4_K_M"]["how"] == "all on CUDA0"
    assert rows["Q4_K_M"]["model"] == f"hf:{REPO}:Q4_K_M"
    assert hub.served("cdn") < 5 * (4 << 20)  # of 683 GB
    text = run(hub, "models", f"hf:{REPO}", *HERE, "-c", "8192").stdout
    assert "all on CUDA0" in text
    assert "llama-server takes Q4_K_M unless another is named" in text


def test_a_row_that_cannot_be_read_says_why_and_the_others_stay(hub: Hub) -> None:
    value = json.loads(run(hub, "models", "hf:someone/lacking", *HERE, "--json").stdout)
    assert [row["fits"] for row in value["rows"]] == [False, True]
    assert value["rows"][0]["how"].endswith("the repository holds 1 of its 2 parts")


def test_models_of_this_machine(hub: Hub, headers: HeaderArchive, tmp_path: Any) -> None:
    headers.write("gemma3-dense", tmp_path)
    done = run(
        hub, "models", *HERE, "--json", HOME=str(tmp_path), LLAMA_CACHE=str(tmp_path), OLLAMA_MODELS=str(tmp_path / "none")
    )
    assert [row["name"] for row in json.loads(done.stdout)["rows"]] == ["gemma3-dense.gguf"]
    assert run(hub, "models", str(tmp_path / "gemma3-dense.gguf")).returncode == 2
    assert hub.asked == []


def named(*paths: str) -> dict[str, str]:
    return {q.name: q.files[0].path for q in quantizations([HubFile(p, 1) for p in paths])}


def test_a_name_always_means_the_model_it_stands_for() -> None:
    """A quantization's name is found anywhere in a path, so that of a file may be another's first."""
    paths = ("M-UD-Q4_K_M.gguf", "M-Q4_K_M.gguf", "x/M-Q4_K_M.gguf", "plain.gguf", "M.i1-IQ2_XXS.gguf", "imatrix-Q8_0.gguf")
    found = named(*paths)
    assert found == {
        "Q4_K_M": "M-UD-Q4_K_M.gguf",
        "M-Q4_K_M": "M-Q4_K_M.gguf",
        "x/M-Q4_K_M": "x/M-Q4_K_M.gguf",
        "plain": "plain.gguf",
        "IQ2_XXS": "M.i1-IQ2_XXS.gguf",
    }
    for name, path in found.items():
        chosen = chosen_file([HubFile(p, 1) for p in paths], name)
        assert chosen is not None
        assert chosen.path == path


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        (("a-F16.gguf", "a-Q8_0.gguf", "a-Q4_K_M.gguf"), "a-Q4_K_M.gguf"),
        (("a-F16.gguf", "a-Q8_0.gguf"), "a-Q8_0.gguf"),
        (("mmproj-a-Q4_K_M.gguf", "mtp-a-Q8_0.gguf", "b-F16.gguf", "a-Q5_0.gguf"), "b-F16.gguf"),
        (("a-Q4_K_M-00002-of-00002.gguf", "a-Q4_K_M-00001-of-00002.gguf"), "a-Q4_K_M-00001-of-00002.gguf"),
        (("a.GGUF",), None),
    ],
)
def test_the_one_taken_unasked(paths: tuple[str, ...], taken: str | None) -> None:
    chosen = chosen_file([HubFile(p, 1) for p in paths], "")
    assert (chosen.path if chosen else None) == taken


def test_what_needs_the_file_says_so() -> None:
    with pytest.raises(UsageError, match="hf:a/b:Q4_0: llama-server needs the file on this machine"):
        _ = ModelAddress("hf:a/b:Q4_0").path


def test_a_split_set_behind_a_url_is_joined_too(hub: Hub, headers: HeaderArchive) -> None:
    url = f"{hub.url}/{REPO}/resolve/main/BF16/Some-BF16-00001-of-00002.gguf?download=true"
    _, value = estimate(hub, url)
    assert value["model"]["tensors"] == len(headers["gemma3-dense"].tensors)
    assert {a.token for a in hub.asked} == {""}
    hub.repos[REPO].pop("BF16/Some-BF16-00002-of-00002.gguf")
    done = run(hub, "plan", url, *HERE, HF_TOKEN=TOKEN)
    assert done.returncode == 2
    assert "Some-BF16-00002-of-00002.gguf: the server answers HTTP 404" in done.stderr
    assert {a.token for a in hub.asked} == {""}  # a URL was named, no repository: the token stays here
