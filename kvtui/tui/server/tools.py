"""What a person does with a server that runs: watch, compare, stress, ask, take its plan elsewhere."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvtui.base.text import printable
from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.server.binary.chosen import remember_choice
from kvtui.server.binary.environment import config_files
from kvtui.server.binary.inspect import ServerBinary, list_devices
from kvtui.server.http.client import ServerClient, ServerError, completion, decode_rate
from kvtui.server.http.stress import StressResult, stress
from kvtui.server.log.follow import first_lines
from kvtui.server.measure.breakdown import logged_memory
from kvtui.server.measure.comparison import compare, dry_parts, parts_json, parts_of, predicted_parts
from kvtui.server.measure.dry_run import Cancelled, DryRun, dry_run
from kvtui.server.measure.measured import Measurement, recall
from kvtui.server.process.holding import held_by
from kvtui.tasks.history import filed_under, gpus_of, keep, measured, request_key, with_stress
from kvtui.tasks.launch import record_plan
from kvtui.tui.draw.lines import Line
from kvtui.tui.draw.server_pages import about_page, answer_page, comparison_page, stress_page
from kvtui.tui.keys.asking import Choice, Menu, Prompt
from kvtui.tui.server.exporting import EXPORTS, export
from kvtui.tui.work.messages import Answered

if TYPE_CHECKING:
    from kvtui.server.process.start import ServerProcess
    from kvtui.tui.server.pane import ServerPane

COMPARISON, ANSWER = "predicted, dry run, actual", "a test prompt"
TEST_PROMPT = "Write one sentence about the sea."
TEST_TOKENS, TEST_SECONDS = 64, 60.0


class ServerTools:
    """Jobs on the pane's server; `cancel` ends them all soon."""

    def __init__(self, pane: "ServerPane") -> None:
        self.pane = pane
        self.app = pane.app
        self.measurement: Measurement | None = None
        self._cancel = threading.Event()
        self._asking_status = False
        self._stressing = False
        self._before: dict[str, float] = {}

    def forget(self) -> None:
        """Another server: nothing is known of it yet."""
        self.cancel()
        self.measurement, self._before = None, {}

    def cancel(self) -> None:
        """End what runs."""
        self._cancel.set()
        self._cancel = threading.Event()

    def _server(self) -> "ServerProcess | None":
        process = self.pane.process
        if process is None or not process.is_running():
            self.app.notice("no server is running: L launches one")
            return None
        if not self.app.state.server.ready:
            self.app.notice("llama-server is still loading")
            return None
        return process

    def _devices(self, process: "ServerProcess") -> tuple[Device, ...]:
        """The machine's devices, if it is the one that the server was launched for."""
        machine = self.app.state.request.machine
        gpus = (process.record.plan or {}).get("conditions", {}).get("gpus")
        return machine.devices if gpus == [list(g) for g in gpus_of(machine)] else ()

    # -- state -----------------------------------------------------------------------------------------------------

    def status(self) -> None:
        """/health, /slots, /metrics; a server busy with a long batch keeps its last figures."""
        process = self.pane.process
        if process is None or self._asking_status or not self.app.state.server.running:
            return
        self._asking_status = True
        client, ready, before = ServerClient(process.record.url, process.api_key), self.app.state.server.ready, self._before

        def look() -> dict[str, object] | None:
            try:
                if not ready:
                    return {"text": "ready"} if client.health().state == "ready" else None
                slots, now = client.slots(), client.metrics()
            except ServerError:
                return None
            rate = decode_rate(before, now) if before else None
            self._before = now
            cells = process.cells()
            used = {"used": sum(s.used for s in slots), "context": cells.of(slots) if cells else sum(s.context for s in slots)}
            return {**used, **({"rate": rate} if rate is not None else {})}

        self.pane.work(look, lambda found: self._status(process, found))

    def _status(self, process: "ServerProcess", found: dict[str, object] | None) -> None:
        self._asking_status = False
        if found is None or process is not self.pane.process:
            return
        if "text" in found:
            self.pane.ready()
        else:
            self.pane.view(**found)

    # -- memory ----------------------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Once it is ready: what it took, kept for the next plan."""
        process = self.pane.process
        if process is None:
            return
        record, devices = process.record, self._devices(process)
        conditions = (record.plan or {}).get("conditions")

        def look() -> Measurement | None:
            if not isinstance(conditions, dict):
                return None
            try:
                held = held_by(record.pid, devices, nvml.poll().gpus)
                found = measured(record.build, conditions, logged_memory(first_lines(record.log)), held)
            except (KeyError, TypeError, ValueError):
                return None  # a record of another form
            if not process.read_only:
                keep(found)
            return recall(found.build, found.model, found.gpus, found.argv) or found

        self.pane.work(look, lambda found: self._measured(process, found))

    def _measured(self, process: "ServerProcess", found: Measurement | None) -> None:
        if process is not self.pane.process or found is None:
            return
        self.measurement = found
        actual = tuple(
            (name, found.model_bytes.get(name, 0), found.context_bytes.get(name, 0), n) for name, n in found.compute_bytes.items()
        )
        self.pane.view(actual=actual)
        self.app.replan()

    def compare(self) -> None:
        """Predicted, the server's own dry run, and actual: of the running server, else of the plan on the screen."""
        plan, session = self.app.state.plan, self.app.session
        record = self.pane.process.record if self.pane.process is not None else None
        if record is not None and (self.app.state.server.running or plan is None):
            self.app.open_page(COMPARISON, self._comparison(record.plan or {}, self.measurement))
            return
        if plan is None or session.path is None:
            self.app.notice("there is no plan to compare yet" if plan is None else "the demo's model is only a header")
            return
        shown, cancel = record_plan(plan, session.path), self._cancel
        binary = next(iter(self.pane.servers), None)
        kept = recall(filed_under(plan.request), request_key(plan.request), gpus_of(plan.request.machine), plan.argv)
        page = self._comparison(shown, kept, "asking llama-server for its dry run" if binary else "no llama-server found")
        self.app.open_page(COMPARISON, page)
        names = [d.name for d in plan.request.machine.devices if not d.endpoint]

        def ask(server: ServerBinary, path: Path) -> DryRun | None:
            try:
                return dry_run(server, path, plan.argv, devices=names, env=dict(plan.env), cancel=cancel)
            except Cancelled:
                return None

        def told(answer: DryRun | None) -> None:
            if answer is not None:
                refused = answer.refused or answer.impossible
                asked = {**shown, "dry_run": parts_json(dry_parts(answer))}
                said = f"dry run: {refused}" if refused else ""
                self.app.refresh_page(COMPARISON, self._comparison(asked, kept, said))

        if binary is not None:
            path = session.path
            self.pane.work(lambda: ask(binary, path), told)

    def _comparison(self, plan: Mapping[str, Any], measurement: Measurement | None, said: str = "") -> tuple[Line, ...]:
        rows = compare(predicted_parts(plan), parts_of(plan.get("dry_run")), measurement)
        notes = [said] if said else []
        if measurement is None:
            notes.append("actual: once a launched server is ready")
        elif "RAM" not in measurement.model_bytes:
            notes.append("RAM's weights are mapped: the log tells the file's span, so only resident memory (held) is shown")
        notes.append("held: by NVML for this process, resident memory in RAM; rest: held, and in no line of the log")
        return comparison_page(rows, notes, self.app.size.width)

    # -- stress and test -------------------------------------------------------------------------------------------

    def stress(self, all_slots: bool = False) -> None:
        """A prompt to the limit of one slot or of all; again: call it off."""
        if self._stressing:
            self.cancel()
            self.app.notice("stress called off")
            return
        process = self._server()
        if process is None:
            return
        if process.read_only:
            self.app.notice("read only: the kvtui that controls the server may stress it")
            return
        self._stressing = True
        cancel, devices = self._cancel, self._devices(process)
        client = ServerClient(process.record.url, process.api_key)

        def heard(share: float) -> None:
            self.app.post_message(Answered(lambda: self._stress_share(process, share)))

        def run() -> StressResult:
            sample = lambda: held_by(process.record.pid, devices, nvml.poll().gpus)  # noqa: E731 # one place only
            try:
                return stress(client, sample, all_slots, heard, cancel)
            except ServerError as e:
                return StressResult(False, 0, 0, 0.0, 0.0, {}, str(e))

        self.pane.view(job="stress 0 %")
        self.pane.work(run, lambda result: self._stressed(process, result, cancel.is_set()))

    def _stress_share(self, process: "ServerProcess", share: float) -> None:
        if self._stressing and process is self.pane.process and self.app.state.server.running:
            self.pane.view(job=f"stress {share:.0%}")

    def _stressed(self, process: "ServerProcess", result: StressResult, called_off: bool) -> None:
        self._stressing = False
        self.pane.view(job="")
        if called_off or process is not self.pane.process:
            return
        if self.measurement is not None and result.slots:
            self.measurement = with_stress(self.measurement, result.peak_bytes, result.passed, result.prompt_tokens)
            kept = self.measurement
            self.pane.work(lambda: keep(kept), lambda _: self.app.replan())
        self.app.open_page("stress", stress_page(result, self.app.size.width))

    def test(self) -> None:
        """One prompt, answered before one's eyes."""
        if self._server() is not None:
            self.app.ask(Prompt("test prompt (Enter alone: one about the sea)", self._test, limit=400))

    def _test(self, typed: str) -> None:
        process = self._server()
        if process is None:
            return
        prompt = typed.strip() or TEST_PROMPT
        client, cancel = ServerClient(process.record.url, process.api_key), self._cancel
        width = self.app.size.width
        self.app.open_page(ANSWER, answer_page(prompt, "", "waiting for the first token", width))

        def show(text: str, said: str) -> None:
            safe = "\n".join(printable(part) for part in text.splitlines())
            self.app.post_message(Answered(lambda: self.app.refresh_page(ANSWER, answer_page(prompt, safe, said, width))))

        self.pane.work(lambda: _ask(client, prompt, cancel, show), lambda _: None)

    # -- pages and lists -------------------------------------------------------------------------------------------

    def about(self) -> None:
        """The launch: command, address, notes, config files."""
        process = self.pane.process
        if process is None:
            self.app.notice("no server was launched yet")
            return
        page = about_page(process.record, config_files(), process.api_key is not None, self.app.size.width)
        self.app.open_page("this llama-server", page)

    def binaries(self) -> None:
        """All that were found, with build, back ends and devices; one is chosen and remembered."""
        if not self.pane.servers and not self.pane.declined:
            self.app.notice("no llama-server found: name one with --llama-server")
            return
        servers = self.pane.servers
        self.app.notice("asking each llama-server for its devices")
        self.pane.work(lambda: [(s, _devices_text(s)) for s in servers], self._choose)

    def _choose(self, found: list[tuple[ServerBinary, str]]) -> None:
        self.app.notice("")
        rows = [
            Choice(f"{s.build or 'unknown build':8} {' '.join(s.backends):20} {said}  {s.path}", _picker(self._use, s))
            for s, said in found
        ]
        rows += [Choice(text, None, "dim") for text in self.pane.declined]
        self.app.ask(Menu("llama-servers on this machine", tuple(rows)))

    def _use(self, server: ServerBinary) -> None:
        self.pane.servers = (server, *(s for s in self.pane.servers if s is not server))
        self.app.use_build(server)
        self.app.notice(f"from now on: {server.path}")
        self.pane.work(lambda: remember_choice(server.path), lambda _: None)

    def exports(self) -> None:
        """The plan as a script, a service, an entry of a configuration."""
        if self.app.state.plan is None:
            self.app.notice("the plan is not ready yet")
            return
        rows = tuple(Choice(f"{name:22} {what}", _picker(self._export, name)) for name, what in EXPORTS.items())
        self.app.ask(Menu("take the plan elsewhere", rows))

    def _export(self, name: str) -> None:
        plan = self.app.state.plan
        if plan is None:
            return
        binary = next(iter(self.pane.servers), None)
        try:
            done = export(name, plan, self.app.session, binary, Path.cwd())
        except (OSError, ValueError) as e:
            self.app.notice(str(e))
            return
        if done.path is None:
            self.app.copy_to_clipboard(done.text)
        self.app.open_page(done.said, done.page(self.app.size.width))


def _picker(act: Callable[..., None], *args: object) -> Callable[[], None]:
    return lambda: act(*args)


def _devices_text(server: ServerBinary) -> str:
    try:
        found = list_devices(server)
    except OSError:
        return "does not start"
    return ", ".join(f"{d.name} {d.description}" for d in found) or "no device"


def _ask(client: ServerClient, prompt: str, cancel: threading.Event, show: Callable[[str, str], None]) -> None:
    """Stream the answer; what is heard so far is shown as it comes."""
    asked = {"prompt": prompt, "n_predict": TEST_TOKENS, "cache_prompt": False}
    text = ""
    try:
        for event in client.stream(asked, TEST_SECONDS):
            if cancel.is_set():
                return
            if "error" in event:
                show(text, f"the server refused: {printable(str(event['error']), 200)}")
                return
            text += str(event.get("content", ""))
            if event.get("stop") is True:
                done = completion({**event, "content": text})
                show(
                    text,
                    f"{done.predicted_tokens} tokens at {done.predicted_rate:.1f} a second, "
                    f"prompt of {done.prompt_tokens} at {done.prompt_rate:.1f}",
                )
                return
            show(text, "...")
        show(text, "the answer broke off")
    except ServerError as e:
        show(text, str(e))
