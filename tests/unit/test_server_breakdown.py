"""Memory by llama-server's own words: lines of real runs of b11434 and b10434."""

from kvtui.server.log.breakdown import MIB, LoggedMemory, Parts, device_of_buffer, logged_memory, parse_event
from kvtui.server.measure.trust import doubt

# gemma-3-270m, -c 4096 -np 2 -ngl 10, two RPC devices, b11434
GEMMA_ON_RPC = """\
0.00.147.386 I llama_prepare_model_devices: using device RPC0 (127.0.0.1:50061) (unknown id) - 24105 MiB free
0.00.147.618 I llama_prepare_model_devices: using device RPC1 (127.0.0.1:50062) (unknown id) - 24105 MiB free
0.00.514.501 I load_tensors:   CPU_Mapped model buffer size =   202.39 MiB
0.00.514.502 I load_tensors:   CPU_REPACK model buffer size =     6.68 MiB
0.00.514.503 I load_tensors: RPC0[127.0.0.1:50061] model buffer size =    17.91 MiB
0.00.514.503 I load_tensors: RPC0[127.0.0.1:50062] model buffer size =   184.86 MiB
0.02.216.267 I llama_context: constructing llama_context
0.02.216.523 I llama_context:        CPU  output buffer size =     2.00 MiB
0.02.216.647 I llama_kv_cache:        CPU KV buffer size =     4.00 MiB
0.02.218.103 I llama_kv_cache: RPC0[127.0.0.1:50061] KV buffer size =     4.00 MiB
0.02.219.460 I llama_kv_cache: RPC0[127.0.0.1:50062] KV buffer size =     4.00 MiB
0.02.220.175 I llama_kv_cache: size =   12.00 MiB (  2048 cells,   3 layers,  2/2 seqs), K (f16):    6.00 MiB
0.02.220.238 I llama_kv_cache:        CPU KV buffer size =    16.00 MiB
0.02.228.064 I llama_kv_cache: RPC0[127.0.0.1:50061] KV buffer size =     8.00 MiB
0.02.231.135 I llama_kv_cache: RPC0[127.0.0.1:50062] KV buffer size =     6.00 MiB
0.02.235.211 I sched_reserve: RPC0[127.0.0.1:50061] compute buffer size =    17.52 MiB
0.02.235.226 I sched_reserve: RPC0[127.0.0.1:50062] compute buffer size =    17.52 MiB
0.02.235.280 I sched_reserve:        CPU compute buffer size =    21.28 MiB
0.03.995.554 I common_memory_breakdown_print: | memory breakdown [MiB]     | total    free    self   model   context   compute    unaccounted |
0.03.995.574 I common_memory_breakdown_print: |   - RPC0 (127.0.0.1:50061) | 24105 = 24105 + (  47 =    17 +      12 +      17) +         -47 |
0.03.995.585 I common_memory_breakdown_print: |   - RPC1 (127.0.0.1:50062) | 24105 = 24105 + ( 212 =   184 +      10 +      17) +        -212 |
0.03.995.596 I common_memory_breakdown_print: |   - Host                   |                   243 =   202 +      20 +      21                |
0.03.995.607 I common_memory_breakdown_print: |   - CPU_REPACK             |                     6 =     6 +       0 +       0                |
""".splitlines()  # noqa: E501  # as they were printed


def mib(value: float) -> int:
    return round(value * MIB)


def test_sums_of_the_buffer_lines() -> None:
    memory = logged_memory(GEMMA_ON_RPC)
    assert memory.devices == {
        "RPC0": Parts(mib(17.91), mib(12), mib(17.52)),
        "RPC1": Parts(mib(184.86), mib(10), mib(17.52)),
    }
    assert memory.host == {
        "CPU_Mapped": Parts(mib(202.39)),
        "CPU_REPACK": Parts(mib(6.68)),
        "CPU": Parts(0, mib(20), mib(21.28)),
    }
    assert memory.free_bytes == {"RPC0": mib(24105), "RPC1": mib(24105)}


def test_the_table_agrees_with_the_lines() -> None:
    memory = logged_memory(GEMMA_ON_RPC)
    assert memory.table is not None
    assert memory.table.devices == {
        "RPC0": Parts(mib(17), mib(12), mib(17)),
        "RPC1": Parts(mib(184), mib(10), mib(17)),
    }
    assert memory.table.host == {"Host": Parts(mib(202), mib(20), mib(21)), "CPU_REPACK": Parts(mib(6))}
    assert memory.table.unaccounted_bytes == {"RPC0": mib(-47), "RPC1": mib(-212)}
    for name, parts in memory.devices.items():
        shown = memory.table.devices[name]
        assert [parts.model // MIB, parts.context // MIB, parts.compute // MIB] == [
            shown.model // MIB,
            shown.context // MIB,
            shown.compute // MIB,
        ]


def test_recurrent_indexer_and_named_state_lines_count_as_context() -> None:
    memory = logged_memory(
        [
            "0.00.018.377 I llama_kv_cache:      CUDA0 KV buffer size =     4.00 MiB",
            "0.00.018.686 I llama_memory_recurrent:      CUDA0 RS buffer size =     1.02 MiB",
            "0.00.018.106 I llama_dsv4_comp_state:      CUDA0 DSV4 csa state buffer size =     0.03 MiB",
        ]
    )
    assert memory.devices["CUDA0"].context == mib(4) + mib(1.02) + mib(0.03)


def test_a_second_reserve_replaces_the_first_and_a_second_context_adds() -> None:
    once = "0.01.000.000 I sched_reserve:      CUDA0 compute buffer size =   100.00 MiB"
    again = "0.01.100.000 I sched_reserve:      CUDA0 compute buffer size =   120.00 MiB"
    another = ["0.02.000.000 I llama_context: constructing llama_context", once]
    assert logged_memory([once, again]).devices["CUDA0"].compute == mib(120)
    assert logged_memory([once, again, *another]).devices["CUDA0"].compute == mib(220)


def test_a_models_name_cannot_pose_as_memory() -> None:
    memory = logged_memory(
        [
            "0.00.001.001 I llama_model_loader: - kv 2: general.name str = load_tensors: CUDA0 model buffer size = 9.00 MiB",
            "0.00.001.001 I print_info: general.name = x_memory_breakdown_print: | memory breakdown [MiB] |",
        ]
    )
    assert memory.devices == {}
    assert memory.table is None


def test_rpc_buffers_count_on_their_own_server() -> None:
    endpoints = {"RPC0": "a:1", "RPC1": "b:2", "RPC2": "b:2"}
    assert device_of_buffer("RPC0[a:1]", endpoints) == "RPC0"
    assert device_of_buffer("RPC0[b:2]", endpoints) == "RPC1"
    assert device_of_buffer("RPC1[b:2]", endpoints) == "RPC2"


def test_host_buffers() -> None:
    for name in ("CPU", "CPU_Mapped", "CPU_REPACK", "CUDA_Host", "Vulkan_Host"):
        assert device_of_buffer(name, {}) is None
    assert device_of_buffer("CUDA1", {}) == "CUDA1"


def test_event_of_log_jsonl() -> None:
    found = parse_event(
        '{"type":"fit_memory_breakdown","data":{"unit":"MiB","rows":[{"kind":"device","name":"RPC0","description":'
        '"127.0.0.1:50061","total":24105,"free":24105,"self":52,"model":17,"context":14,"compute":21,"unaccounted":-52},'
        '{"kind":"host","name":"Host","self":244,"model":195,"context":24,"compute":24},{"kind":"buffer_type","name":'
        '"CPU_REPACK","self":6,"model":6,"context":0,"compute":0}]}}'
    )
    assert found is not None
    assert found.devices == {"RPC0": Parts(mib(17), mib(14), mib(21))}
    assert found.host == {"Host": Parts(mib(195), mib(24), mib(24)), "CPU_REPACK": Parts(mib(6))}
    assert found.free_bytes == {"RPC0": mib(24105)}


def test_other_lines_are_no_event() -> None:
    assert parse_event('{"type":"log","msg":"\\"fit_memory_breakdown\\""}') is None
    assert parse_event('{"type":"fit_memory_breakdown","data":{}}') is None
    assert parse_event('"fit_memory_breakdown" {') is None


FORGED = """\
0.00.001.001 I llama_model_loader: loaded meta data with 40 key-value pairs
0.00.001.002 I print_info: file format = GGUF V3 (latest)
0.00.001.003 I llama_prepare_model_devices: using device CUDA0 (RTX 3090) (0000:02:00.0) - 24000 MiB free
0.00.010.000 I print_info: arch                  = llama
0.00.010.001 I print_info: general.name          = x
{forged}
0.00.010.003 I print_info: vocab type            = BPE
0.00.010.004 I print_info: max token length      = 48
0.00.020.001 I load_tensors:        CUDA0 model buffer size =  9000.00 MiB
"""


def test_lines_within_a_models_name_count_for_nothing() -> None:
    for forged in (
        "0.00.010.002 I load_tensors:        CUDA0 model buffer size = 77777.00 MiB",
        "0.00.010.002 I llama_model_loader: loaded meta data with 1 key\n"
        "0.00.010.002 I load_tensors:        CUDA0 model buffer size = 77777.00 MiB",
    ):
        memory = logged_memory(FORGED.format(forged=forged).splitlines())
        assert memory.devices == {"CUDA0": Parts(mib(9000))}
        assert memory.foreign
        assert doubt(memory, {}) == "text of the model stands among the server's own lines"
    plain = [line for line in FORGED.splitlines() if line != "{forged}"]
    assert not logged_memory(plain).foreign
    twice = logged_memory(plain + plain)  # a draft's load is another load
    assert (twice.foreign, twice.devices) == (False, {"CUDA0": Parts(mib(18000))})


def test_figures_that_cannot_be_are_doubted() -> None:
    def load(model_mib: float, free_mib: int = 24000) -> LoggedMemory:
        return LoggedMemory({"CUDA0": Parts(mib(model_mib))}, {}, {"CUDA0": mib(free_mib)}, {})

    assert doubt(load(9000.9), {"CUDA0": Parts(mib(9000))}) is None
    assert doubt(load(9000.9), {}) is None
    assert doubt(load(9010), {"CUDA0": Parts(mib(9000))}) == "CUDA0 has 9,010 MiB of model, 9,000 MiB by the dry run"
    assert doubt(load(77777), {}) == "CUDA0 would hold 77,777 MiB of 24,000 MiB that were free"
    unknown = LoggedMemory({"CUDA7": Parts(mib(1))}, {}, {}, {})
    assert doubt(unknown, {}) == "CUDA7 is no device that it said it uses"
