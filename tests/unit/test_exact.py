"""Divergences by llama-perplexity: its own words read strictly, its file of logits whole, its build that of the server."""

import json
import os
import struct
import sys
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.cache.divergence import Divergence
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.binary.perplexity import NAME, perplexity_of
from kvtui.server.log.divergence import Chunks, chunks_done, parse_divergence
from kvtui.server.measure.exact import Comparer, chunks_of, compare, drop_base, has_base, make_base, passage
from kvtui.server.measure.forced import Text
from kvtui.server.process.passing import NotServed
from kvtui.server.program.marks import ASKED_VARIABLE, asked_by_us, marked

SAID = Path(__file__).parents[1] / "data" / "perplexity"
OF_BASE, OF_PAIR = (SAID / "base.txt").read_text("utf-8"), (SAID / "q8_0.txt").read_text("utf-8")
CHUNKS = Chunks(2, 352)
BASE_BYTES, BASE_VOCAB = 183_506_436, 262_144  # the file of that run
HELP = (
    "-ctk,  --cache-type-k TYPE     K\n-ctv,  --cache-type-v TYPE     V\n-c,    --ctx-size N    context\n--chunks N      most\n"
    "-b,    --batch-size N  batch\n--kl-divergence      compare\n--kl-divergence-base FNAME      base\n-ngl N   layers\n"
)
VERSION = "0.6.0-dev (build 11434, commit abc)"
TEXT = Text("a text", "word " * 4000)


def program(path: Path, run: str = "", version: str = VERSION, said: str = HELP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport os, struct, sys\n"
        f"if '--help' in sys.argv: print({said!r})\nelif '--version' in sys.argv: print('version: ' + {version!r})\n"
        f"else:\n    {run or 'pass'}\n"
    )
    path.chmod(0o755)
    return path


def server(folder: Path) -> ServerBinary:
    return ServerBinary(folder / "llama-server", "b11434", "version", VERSION, ("CPU",), ())


def comparer(folder: Path, run: str, argv: tuple[str, ...] = ()) -> Comparer:
    path = program(folder / NAME, run)
    binary = ServerBinary(path, "b11434", "version", VERSION, ("CPU",), parse_help(HELP))
    return Comparer(binary, folder / "m.gguf", argv, {}, folder / "bases", 7)


def says(text: str, returncode: int = 0) -> str:
    return f"sys.stdout.write({text!r}); sys.exit({returncode})"


def writes(size: int) -> str:
    return (
        "f = open(sys.argv[sys.argv.index('--kl-divergence-base') + 1], 'wb'); "
        f"f.write(struct.pack('<8sIii', b'_logits_', 352, 7, 2)); f.truncate({size}); f.close()"
    )


WHOLE_BYTES = 20 + 4 * 704 + 2 * 350 * 12  # 7 logits are 8, and four more, at 350 positions


def test_a_real_run_is_read() -> None:
    assert parse_divergence(OF_PAIR, CHUNKS) == Divergence(0.007240, 0.040589, pytest.approx(0.93429), 350, exact=True)


def test_progress_is_counted_as_it_is_said() -> None:
    assert [chunks_done(OF_BASE[: OF_BASE.find(mark)]) for mark in ("[1]", "[2]", "Final")] == [0, 1, 2]
    rows = [OF_PAIR.find(mark) for mark in ("   1  ", "   2  ", "======")]
    assert [chunks_done(OF_PAIR[:at]) for at in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("over 2 chunks, n_ctx=352", "over 3 chunks, n_ctx=352", "2 chunks of 352 tokens"),
        ("over 2 chunks, n_ctx=352", "over 2 chunks, n_ctx=512", "2 chunks of 352 tokens"),
        ("   2      72.4609", "   3      72.4609", "list 2 chunks"),
        ("Mean    KLD:   0.007240", "Mean    KLD:   -nan", "is -nan"),
        ("Mean    KLD:   0.007240", "Mean    KLD:   0.0x", "could not convert"),
        ("Mean    KLD:   0.007240", "Mean    KLD:  -0.107240", "none of a divergence"),
        ("Mean    KLD:", "Mean KLD:", "no Mean"),
        ("99.9%   KLD:   0.040589\n", "", "no 99.9%   KLD"),
        ("99.9%   KLD:   0.040589\n", "99.9%   KLD:   0.040589\n" * 2, "2 times"),
        ("Same top p: 93.429", "Same top p: 193.429", "none of a divergence"),
        ("Same top p: 93.429 ±", "Same top p: 93.429 +-", "no Same top p"),
    ],
)
def test_a_run_that_says_something_else_has_no_result(old: str, new: str, words: str) -> None:
    assert OF_PAIR.count(old) == 1
    with pytest.raises(ValueError, match=words):
        parse_divergence(OF_PAIR.replace(old, new), CHUNKS)


@pytest.mark.parametrize("end", ["====== KL", "Mean    KLD", "99.9%   KLD", "Same top p:"])
def test_a_run_cut_short_has_no_result(end: str) -> None:
    with pytest.raises(ValueError, match="says no"):
        parse_divergence(OF_PAIR[: OF_PAIR.find(end)], CHUNKS)


def test_what_rounding_puts_below_nothing_is_nothing() -> None:
    said = OF_PAIR.replace("Mean    KLD:   0.007240", "Mean    KLD:  -0.000002")
    assert parse_divergence(said, CHUNKS).mean == 0.0


@pytest.mark.parametrize(
    ("tokens", "n_ctx", "wanted", "chunks"),
    [
        (761, 2048, 1000, Chunks(2, 379)),  # two chunks at least, and what the text has
        (761, 512, 6, Chunks(1, 379)),  # a hundred places at least
        (100_000, 4096, 1000, Chunks(4, 512)),
        (100_000, 256, 1000, Chunks(8, 256)),
        (100_000, 64, 6, Chunks(4, 64)),
    ],
)
def test_chunks_hold_the_places_that_are_asked_for(tokens: int, n_ctx: int, wanted: int, chunks: Chunks) -> None:
    found = chunks_of(tokens, n_ctx, wanted)
    assert found == chunks
    assert found.positions >= min(max(wanted, 100), 378)


@pytest.mark.parametrize(("tokens", "n_ctx"), [(0, 512), (3, 512), (150, 512), (10_000, 2), (10_000, 1)])
def test_a_text_too_short_is_told(tokens: int, n_ctx: int) -> None:
    with pytest.raises(UsageError, match="--llama-perplexity none"):
        chunks_of(tokens, n_ctx, 6)


def test_a_base_is_whole_or_none(tmp_path: Path) -> None:
    bench = comparer(tmp_path, "pass")
    bench.folder.mkdir()
    assert not has_base(bench, "key", CHUNKS)
    path = bench.path("key")
    for head, size, whole in (
        ((b"_logits_", 352, BASE_VOCAB, 2), BASE_BYTES, True),
        ((b"_logits_", 352, BASE_VOCAB, 2), BASE_BYTES - 1, False),
        ((b"_logitz_", 352, BASE_VOCAB, 2), BASE_BYTES, False),
        ((b"_logits_", 512, BASE_VOCAB, 2), BASE_BYTES, False),
        ((b"_logits_", 352, -1, 2), BASE_BYTES, False),
    ):
        path.write_bytes(struct.pack("<8sIii", *head))
        os.truncate(path, size)
        assert has_base(bench, "key", CHUNKS) is whole, (head, size)
    path.write_bytes(b"_log")
    assert not has_base(bench, "key", CHUNKS)


def test_f16_is_kept_whole_and_each_pair_compared_with_it(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = comparer(tmp_path, writes(WHOLE_BYTES), ("-c", "2048", "-ngl", "3", "--slots", "-b", "64"))
    make_base(made, "key", TEXT, CHUNKS, lambda i, n: steps.append((i, n)))
    assert has_base(made, "key", CHUNKS)
    assert [f.name for f in made.folder.iterdir()] == ["key.base"]
    asked = tmp_path / "asked"
    seen = comparer(
        tmp_path, f"import json; open({str(asked)!r}, 'w').write(json.dumps(sys.argv[1:])); {says(OF_PAIR)}", made.argv
    )
    found = compare(seen, "key", ("q8_0", "q4_0"), CHUNKS, lambda i, n: steps.append((i, n)))
    assert (found.mean, found.exact) == (0.00724, True)
    assert steps[0] == (0, 2)
    assert set(steps) <= {(0, 2), (1, 2)}
    own = ["-c", "352", "-b", "352", "-ctk", "q8_0", "-ctv", "q4_0", "--kl-divergence-base", str(made.path("key"))]
    assert json.loads(asked.read_text()) == ["-m", str(tmp_path / "m.gguf"), "-ngl", "3", *own, "--kl-divergence"]
    assert seen.flags()[1] == ("--slots left out: b11434 has no --slots",)
    drop_base(made, "key")
    drop_base(made, "key")
    assert not list(made.folder.iterdir())


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (says("0.00.100.000 E perplexity: you need at least 704 tokens\n"), "you need at least 704 tokens"),
        (says("error: invalid argument: -x\n", 1), "ended with 1: this build does not know the argument -x"),
        (writes(WHOLE_BYTES - 2), "no whole file"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
    ],
)
def test_a_base_that_fails_leaves_nothing_but_its_reason(tmp_path: Path, run: str, words: str) -> None:
    bench = comparer(tmp_path, run)
    with pytest.raises(NotServed, match=words):
        make_base(bench, "key", TEXT, CHUNKS, lambda i, n: None)
    assert not list(bench.folder.iterdir())


def test_a_pair_that_fails_says_why(tmp_path: Path) -> None:
    bench = comparer(tmp_path, says("0.00.100.000 E kl_divergence: failed reading log-probs for chunk 1\n"))
    with pytest.raises(NotServed, match=r"gave no result: .*; failed reading log-probs for chunk 1"):
        compare(bench, "key", ("q8_0", "q8_0"), CHUNKS, lambda i, n: None)


def test_a_vocabulary_that_ends_each_text_is_told_with_the_way_out(tmp_path: Path) -> None:
    abort = "perplexity.cpp:456: GGML_ASSERT(!llama_vocab_get_add_eos(vocab)) failed"
    run = f"print({abort!r}, file=sys.stderr, flush=True); os.abort()"
    with pytest.raises(NotServed, match=r"add_eos.*--llama-perplexity none measures with llama-server alone"):
        make_base(comparer(tmp_path, run), "key", TEXT, CHUNKS, lambda done, all_of_it: None)


def test_one_that_speaks_without_end_is_ended(tmp_path: Path) -> None:
    bench = comparer(tmp_path, "exec(\"while True: print('x' * 4000)\")")
    with pytest.raises(NotServed, match="said too much"):
        compare(bench, "key", ("q8_0", "q8_0"), CHUNKS, lambda i, n: None)
    assert not marked(ASKED_VARIABLE, asked_by_us())


def test_one_is_ended_with_who_asked(tmp_path: Path) -> None:
    bench = comparer(tmp_path, "import time; print('[1]2.0,', flush=True); time.sleep(600)")

    def given_up(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_base(bench, "key", TEXT, CHUNKS, given_up)
    assert not list(bench.folder.iterdir())
    assert not marked(ASKED_VARIABLE, asked_by_us())


def test_a_long_text_is_not_read_to_its_end() -> None:
    assert len(passage(Text("long", "word " * 1_000_000), 128)) < 40_000
    assert passage(Text("short", "word\n\n"), 128) == "word"


def test_the_one_beside_the_server_is_taken_if_it_is_of_its_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_PERPLEXITY", raising=False)
    assert perplexity_of(server(tmp_path)) == (None, "")
    path = program(tmp_path / NAME)
    found, problem = perplexity_of(server(tmp_path))
    assert found is not None
    assert (found.path, found.build, problem) == (path, "b11434", "")
    assert perplexity_of(server(tmp_path), "none") == (None, "")
    program(path, version="0.6.0-dev (build 11435, commit abc)")
    found, problem = perplexity_of(server(tmp_path))
    assert found is None
    assert "another build" in problem
    program(path, said="-h   help\n")
    assert "--help" in perplexity_of(server(tmp_path))[1]
    path.chmod(0o644)
    assert perplexity_of(server(tmp_path)) == (None, "")


def test_the_one_that_is_named_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "other" / NAME)
    monkeypatch.setenv("LLAMA_PERPLEXITY", str(path.parent))
    found, _ = perplexity_of(server(tmp_path))
    assert found is not None
    assert found.path == path
    assert perplexity_of(server(tmp_path), "none") == (None, "")
    with pytest.raises(UsageError, match="--llama-perplexity: no such program"):
        perplexity_of(server(tmp_path), str(tmp_path / "none"))
    program(path, version="0.6.0-dev (build 1, commit x)")
    with pytest.raises(UsageError, match=r"LLAMA_PERPLEXITY: .*another build"):
        perplexity_of(server(tmp_path))
