"""What a person does with a server that runs: watch, compare, stress, ask, take its plan elsewhere."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kvtui.hardware.found import Found
from kvtui.server.binary.chosen import remember_choice
from kvtui.server.binary.environment import config_files
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.comparison import compare, dry_parts, parts_json, parts_of, predicted_parts
from kvtui.server.measure.measured import Measurement, recall
from kvtui.server.process.start import ServerProcess
from kvtui.tasks.exporting import FORMATS, Format, unguarded
from kvtui.tasks.history import filed_under, gpus_of, request_key, with_stress
from kvtui.tasks.launch import record_plan
from kvtui.tui.draw.server_pages import about_page, answer_page, comparison_page, stress_page
from kvtui.tui.keys.asking import Choice, Menu, Prompt
from kvtui.tui.keys.what_if import has_devices, with_found
from kvtui.tui.lines import Line
from kvtui.tui.server import jobs
from kvtui.tui.server.attached import STATUS, STATUS_SECONDS, STRESS
from kvtui.tui.server.exporting import export
from kvtui.tui.server.launching import NONE_FOUND, LaunchDesk
from kvtui.tui.server.messages import (
    AnswerHeard,
    DevicesListed,
    DryRunDone,
    Measured,
    MeasurementKept,
    StatusRead,
    Stressed,
    StressShare,
)

COMPARISON, ANSWER = "predicted, dry run, actual", "a test prompt"
TEST_PROMPT = "Write one sentence about the sea."


class ServerDesk(LaunchDesk):
    """The desk with all that is done with a server."""

    def on_mount(self) -> None:
        """Ask it how it is from time to time."""
        self.set_interval(STATUS_SECONDS, self._ask_status)

    def _ready_server(self) -> ServerProcess | None:
        process = self.server.process
        if process is None or not process.is_running():
            self.notice(f"no server is running: {self.state.key('launch')} launches one")
            return None
        if not self.state.server.ready:
            self.notice("llama-server is still loading")
            return None
        return process

    # -- its state and memory --------------------------------------------------------------------------------------

    def _ask_status(self) -> None:
        if self.state.server.running and self.server.process is not None:
            self.server.ask_status(self.devices_of(self.server.process), self.state.server.ready)

    def on_status_read(self, message: StatusRead) -> None:
        """Ready, or tokens in use and the rate; a server busy with a long batch keeps its last figures."""
        self.server.done(STATUS)
        if not message.answered or message.process is not self.server.process:
            return
        if message.counters is None:
            self.server.answers()
            return
        self.server.learn_speed(message)
        rate = self.server.rate(message.counters)
        used, watched = sum(s.used for s in message.slots), self.server.watched(self.state.server.watched, message)
        view = replace(self.state.server, used=used, context=message.context, watched=watched)
        self.view(view if rate is None else replace(view, rate=rate))

    def on_measured(self, message: Measured) -> None:
        """What it took: shown, and learned from."""
        found = message.measurement
        if message.process is not self.server.process:
            return
        if found is None:
            if message.problem:
                self.notice(message.problem)
            return
        self.server.measurement = found
        actual = tuple(
            (name, found.model_bytes.get(name), found.context_bytes.get(name, 0), n) for name, n in found.compute_bytes.items()
        )
        if not self.state.server.model:
            self.view(replace(self.state.server, actual=actual))
        self.taught(message.known)

    def compare_memory(self) -> None:
        """Predicted, the server's own dry run, and actual: of the running server, else of the plan on the screen."""
        plan, path, process = self.state.plan, self.session.path, self.server.process
        if process is not None and (self.state.server.running or plan is None):
            self.open_page(COMPARISON, self._comparison(process.record.plan or {}, self.server.measurement))
            return
        if plan is None or path is None:
            self.notice("there is no plan to compare yet" if plan is None else self.session.not_here)
            return
        binary = next(iter(self.state.binaries), None)
        kept = recall(filed_under(plan.request), request_key(plan.request), gpus_of(plan.request.machine), plan.argv)
        said = "asking llama-server for its dry run" if binary else "no llama-server found"
        self.open_page(COMPARISON, self._comparison(record_plan(plan, path), kept, said))
        if binary is not None:
            job = partial(jobs.dry_run_of, binary, path, plan, kept, self.server.cancelled)
            self.server.start("the dry run", job)

    def on_dry_run_done(self, message: DryRunDone) -> None:
        """The server's own figures, beside the others."""
        refused = message.answer.refused or message.answer.impossible
        asked = {**message.plan, "dry_run": parts_json(dry_parts(message.answer))}
        self.refresh_page(COMPARISON, self._comparison(asked, message.kept, f"dry run: {refused}" if refused else ""))

    def _comparison(self, plan: Mapping[str, Any], measurement: Measurement | None, said: str = "") -> tuple[Line, ...]:
        rows = compare(predicted_parts(plan), parts_of(plan.get("dry_run")), measurement)
        notes = [said] if said else []
        if measurement is None:
            notes.append("actual: once a launched server is ready")
        elif "RAM" not in measurement.model_bytes:
            notes.append("RAM's weights are mapped: the log tells the file's span, so only resident memory (held) is shown")
        notes.append("held: by NVML for this process, resident memory in RAM; rest: held, and in no line of the log")
        return comparison_page(rows, notes, self.size.width)

    # -- stress and test -------------------------------------------------------------------------------------------

    def stress_server(self, all_slots: bool) -> None:
        """A prompt to the limit of one slot or of all; again: call it off."""
        if self.server.stressing:
            self.server.cancel()
            self.notice("stress called off")
            return
        process = self._ready_server()
        if process is None:
            return
        if process.read_only:
            self.notice("read only: the kvtui that controls the server may stress it")
            return
        self.view(replace(self.state.server, job="stress 0 %"))
        self.server.stress(self.devices_of(process), all_slots)

    def on_stress_share(self, message: StressShare) -> None:
        """How far it is."""
        if self.server.stressing and message.process is self.server.process and self.state.server.running:
            self.view(replace(self.state.server, job=f"stress {message.share:.0%}"))

    def on_stressed(self, message: Stressed) -> None:
        """What came of it, and the peak kept."""
        if message.process is not self.server.process:
            return
        self.server.done(STRESS)
        self.view(replace(self.state.server, job=""))
        if message.called_off:
            return
        result, measurement = message.result, self.server.measurement
        if measurement is not None and result.slots:
            kept = with_stress(measurement, result.peak_bytes, result.passed, result.prompt_tokens)
            self.server.measurement = kept
            self.server.start("keeping the measurement", lambda: jobs.keep_measurement(kept))
        self.open_page("stress", stress_page(result, self.size.width))

    def on_measurement_kept(self, message: MeasurementKept) -> None:
        """A plan may learn from it."""
        self.taught(message.known)

    def test_prompt(self) -> None:
        """One prompt, answered before one's eyes."""
        if self._ready_server() is not None:
            self.ask(Prompt("test prompt (Enter alone: one about the sea)", self._test, limit=400))

    def _test(self, typed: str) -> None:
        if self._ready_server() is not None:
            prompt = typed.strip() or TEST_PROMPT
            self.open_page(ANSWER, answer_page(prompt, "", "waiting for the first token", self.size.width))
            self.server.ask(prompt)

    def on_answer_heard(self, message: AnswerHeard) -> None:
        """So far."""
        self.refresh_page(ANSWER, answer_page(message.prompt, message.text, message.said, self.size.width))

    # -- pages and lists -------------------------------------------------------------------------------------------

    def show_server(self) -> None:
        """The launch: command, address, notes, config files."""
        process = self.server.process
        if process is None:
            self.notice("no server was launched yet")
            return
        page = about_page(process.record, config_files(), process.api_key is not None, self.size.width)
        self.open_page("this llama-server", page)

    def choose_server(self) -> None:
        """All that were found, with build, back ends and devices; one is chosen and remembered."""
        servers = self.state.binaries
        if not servers and not self.state.declined:
            self.notice(NONE_FOUND)
            return
        self.notice("asking each llama-server for its devices")
        self.server.start("asking llama-servers for their devices", lambda: jobs.list_all_devices(servers))

    def on_devices_listed(self, message: DevicesListed) -> None:
        """The list to choose from."""
        rows = [
            Choice(f"{s.build or 'unknown build':8} {' '.join(s.backends):20} {_said(f)}  {s.path}", partial(self._use, s, f))
            for s, f in message.servers
        ]
        rows += [Choice(text, None, "dim") for text in self.state.declined]
        self.become(replace(self.state, notice="", asking=Menu("llama-servers on this machine", tuple(rows))))

    def _use(self, server: ServerBinary, found: Found | None) -> None:
        request = self.state.request if self.state.had is None else self.state.had.request
        if found is not None and not self.session.simulated and not has_devices(request, found):
            self.state = replace(self.state, had=None)
            self.change(with_found(request, found))
        others = (s for s in self.state.binaries if s is not server)
        self.become(replace(self.state, binaries=(server, *others)))
        self.use_build(server)
        self.notice(f"from now on: {server.path}")
        self.server.start("remembering the choice", lambda: remember_choice(server.path))

    def export_plan(self) -> None:
        """The plan as a script, a service, an entry of a configuration."""
        if self.state.plan is None:
            self.notice("the plan is not ready yet")
            return
        rows = tuple(Choice(f"{form.title:22} {form.what}", partial(self._export, form)) for form in FORMATS)
        self.ask(Menu("take the plan elsewhere", rows))

    def _export(self, form: Format) -> None:
        plan = self.state.plan
        if plan is None:
            return
        binary = next(iter(self.state.binaries), None)
        try:
            done = export(form, plan, self.session, binary, Path.cwd())
        except (OSError, ValueError) as e:
            self.notice(str(e))
            return
        if done.path is None:
            self.copy_to_clipboard(done.text)
        self.open_page(done.said, done.page(self.size.width))
        self.notice(unguarded(form, self.session.address))


def _said(found: Found | None) -> str:
    """What a server can use, in words."""
    if found is None:
        return "does not start"
    return ", ".join(f"{d.name} {d.description}" for d in found.devices) or "no device"
