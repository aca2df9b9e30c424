"""The log pane's source: lines, levels, and files that grow faster than anyone reads."""

import tracemalloc
from pathlib import Path

from kvtui.server.log.follow import (
    BACKLOG_LIMIT_BYTES,
    LINE_LIMIT,
    READ_LIMIT_BYTES,
    READ_LIMIT_LINES,
    LogTail,
    level_of,
    parse_line,
)
from kvtui.server.log.lines import matching
from kvtui.server.log.progress import LoadProgress


def test_levels_by_the_lines_letter() -> None:
    assert level_of("0.00.136.141 I srv  llama_server: model loaded") == "info"
    assert level_of("0.00.378.932 W load: control-looking token") == "warning"
    assert level_of("0.00.002.136 E srv         start: couldn't bind HTTP server socket") == "error"
    assert level_of("0.00.387.531 D load_tensors: layer   0 assigned to device CPU") == "debug"
    assert level_of("W without a time") == "warning"


def test_levels_of_words_that_bypass_the_log() -> None:
    assert level_of("error: invalid argument: --bogus") == "error"
    assert level_of("/src/ggml/src/ggml-rpc/ggml-rpc.cpp:547: Failed to connect to 127.0.0.1:9") == "error"
    assert level_of("GGML_ASSERT(x) failed") == "error"
    assert level_of("AMX is not ready to be used!") == "info"


def test_a_json_line_is_unwrapped() -> None:
    line = parse_line(b'{"type":"log","time":4632,"level":"warn","msg":"srv  llama_server: security: no API key\\n"}')
    assert (line.level, line.text) == ("warning", "srv  llama_server: security: no API key")


def test_secrets_and_escape_codes_never_show() -> None:
    line = parse_line(b"key sesame-1234 \x1b]52;c;AAAA\x07\xff end", 7, ("sesame-1234",))
    assert line.text == "key *** \ufffd end"
    assert line.number == 7


def test_follows_a_growing_file_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tail = LogTail(log)
    assert tail.read() == ()
    log.write_bytes(b"one\ntw")
    assert [line.text for line in tail.read()] == ["one"]
    with log.open("ab") as file:
        file.write(b"o\nthree")
    assert [(line.number, line.text) for line in tail.read()] == [(2, "two")]
    assert tail.read() == ()
    assert [line.text for line in tail.finish()] == ["three"]
    assert [line.text for line in tail.lines] == ["one", "two", "three"]


def test_a_file_that_was_cut_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a long first line\nsecond\n")
    tail = LogTail(log)
    tail.read()
    log.write_bytes(b"new\n")
    assert [line.text for line in tail.read()] == ["new"]


def test_a_million_lines_stay_within_the_ring(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = b"0.00.000.001 I a line that says something or other\n"
    log.write_bytes(line * 1_000_000)
    tail = LogTail(log, ring_lines=5000)
    tracemalloc.start()
    try:
        while tail.read():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(tail.lines) == 5000
    assert tail.lines[-1].text == line.decode().strip()
    assert tail.skipped_bytes == log.stat().st_size - READ_LIMIT_BYTES
    assert peak < 24 * 2**20


def test_a_jump_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 79 + b"\n")
    tail = LogTail(log)
    tail.read()
    with log.open("ab") as file:
        file.write((b"y" * 79 + b"\n") * (BACKLOG_LIMIT_BYTES // 80 + 1000))
    first, second, *_ = tail.read()
    assert (first.number, first.level) == (0, "warning")
    assert "MiB of log not shown" in first.text
    assert second.text == "y" * 79  # the first whole line, not the tail of one
    assert tail.backlog_bytes == 0


def test_one_line_of_a_hundred_megabytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        for _ in range(100):
            file.write(b"z" * 10**6)
        file.write(b"\nnext\n")
    tail = LogTail(log)
    tracemalloc.start()
    try:
        texts = [line.text for line in tail.finish()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts[-1] == "next"
    assert max(map(len, texts)) <= LINE_LIMIT
    assert peak < 8 * 2**20


def test_a_long_line_that_arrives_in_pieces_is_capped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tail = LogTail(log)
    for _ in range(50):
        with log.open("ab") as file:
            file.write(b"w" * 100_000)
        assert tail.read() == ()
        assert len(tail._partial) <= 4 * LINE_LIMIT
    with log.open("ab") as file:
        file.write(b"\n")
    (line,) = tail.read()
    assert len(line.text) == LINE_LIMIT


def test_a_long_line_that_an_ended_writer_left_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"v" * (5 * READ_LIMIT_BYTES) + b"\nlast words")
    assert [line.text[:4] for line in LogTail(log).finish()] == ["vvvv", "last"]


def test_one_read_is_bounded_in_lines_and_loses_none(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n" * (2 * READ_LIMIT_LINES) + b"end\n")
    tail = LogTail(log)
    assert len(tail.read()) == READ_LIMIT_LINES
    assert len(tail.read()) == READ_LIMIT_LINES
    assert [(line.number, line.text) for line in tail.read()] == [(2 * READ_LIMIT_LINES + 1, "end")]


def test_an_ended_writers_flood_is_cut_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n" * 4_000_000 + b"last words\n")
    tail = LogTail(log)
    assert tail.finish()[-1].text == "last words"
    assert tail.lines_read < 4_000_000
    assert tail.backlog_bytes == 0


def test_filter_by_level_and_words() -> None:
    lines = [parse_line(raw) for raw in (b"1.00.000.000 E one", b"1.00.000.000 W Two", b"1.00.000.000 I two")]
    assert [line.text[-3:] for line in matching(lines, "warning")] == ["one", "Two"]
    assert [line.text[-3:] for line in matching(lines, words="TWO")] == ["Two", "two"]


def test_progress_by_stages_never_goes_back() -> None:
    progress = LoadProgress()
    stages = []
    for line in (
        "0.00.007.997 I srv    load_model: loading model 'gemma.gguf'",
        "0.00.055.459 I llama_model_loader: loaded meta data with 33 key-value pairs and 236 tensors",
        "0.00.475.198 I load_tensors: loading model tensors, this can take a while... (load_mode = mmap)",
        "." * 50,
        "0.01.114.848 I llama_context: constructing llama_context",
        "0.01.161.311 I cmn  common_init_: warming up the model with an empty run - please wait",
        "0.01.162.000 I srv    load_model: loading model 'draft.gguf'",
        "0.01.306.535 I srv  llama_server: listening on http://127.0.0.1:18432",
    ):
        progress = progress.after([line])
        stages.append((progress.stage, round(progress.fraction, 3)))
    assert stages == [
        ("opening the model", 0.0),
        ("reading the header", 0.02),
        ("loading weights", 0.1),
        ("loading weights", 0.475),
        ("making the context", 0.85),
        ("warming up", 0.93),
        ("warming up", 0.93),
        ("loaded", 0.99),
    ]
    assert not progress.ready
    ready = progress.answered().after(["0.01.400.000 I srv    load_model: loading model 'another.gguf'", "." * 9])
    assert (ready.stage, ready.ready) == ("ready", True)


def test_a_secret_is_blotted_out_whatever_stands_in_it() -> None:
    for raw in (b"a k3yk3y b", b"a k3\x1b[0myk3y b", b"a k3y\xe2\x80\x8bk3y b"):
        assert parse_line(raw, 1, ("k3yk3y",)).text == "a *** b"
