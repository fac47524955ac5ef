"""The machine of a record: what it says, its name, and what a GPU would change."""

import re
import stat
from pathlib import Path

import pytest

from rosetta.errors import UserError
from rosetta.runs import machine

NVIDIA_SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) echo "NVIDIA H200, 570.86.15, 143771" ;;
  *) echo "| NVIDIA-SMI 570.86.15   Driver Version: 570.86.15   CUDA Version: 12.8  |" ;;
esac
"""


@pytest.fixture(autouse=True)
def ask_again() -> None:
    machine.accelerator.cache_clear()
    yield
    machine.accelerator.cache_clear()


def with_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_machine_is_described_without_its_host_name() -> None:
    found = machine.describe("cpu")
    assert found["processor"] and found["system"]
    assert 1 <= found["cores"] <= found["threads"]
    assert found["memory_bytes"] > 2**28
    assert found["accelerator"] is None
    assert re.fullmatch(r"[a-z0-9.-]+-[0-9a-f]{6}", found["name"])
    assert f"-{found['cores']}c-" in found["name"]


def test_the_name_is_the_same_each_time_and_another_on_another_machine() -> None:
    here = machine.describe("cpu")
    assert machine.describe("cpu")["name"] == here["name"]
    assert machine._name({**here, "system": "Another 1"}) != here["name"]
    assert machine._name({**here, "memory_bytes": 1}) == here["name"]


def test_processors_of_one_name_with_other_vector_instructions_are_other_machines() -> None:
    here = {**machine.describe("cpu"), "vectors": "avx2"}
    other = machine._name({**here, "vectors": "avx512f"})
    assert other != machine._name(here) and "-avx512f-" in other


@pytest.mark.parametrize(
    ("processor", "slug"),
    [
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "intel-xeon-platinum"),
        ("AMD EPYC 9B14 96-Core Processor", "amd-epyc-9b14"),
        ("12th Gen Intel(R) Core(TM) i7-12700K", "intel-i7-12700k"),
        ("Apple M2 Pro", "apple-m2-pro"),
    ],
)
def test_the_name_is_made_of_telling_words(processor: str, slug: str) -> None:
    described = {**machine.describe("cpu"), "processor": processor, "vectors": None, "cores": 8}
    assert machine._name(described).startswith(f"{slug}-8c-")


def test_a_gpu_is_found_and_makes_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nvidia_smi(tmp_path, monkeypatch, NVIDIA_SMI)
    assert machine.choose_device("auto") == "gpu"
    found = machine.describe("gpu")
    assert found["accelerator"] == "NVIDIA H200"
    assert (found["driver"], found["cuda"]) == ("570.86.15", "12.8")
    assert found["accelerator_memory_bytes"] == 143771 * 2**20
    assert "-h200-" in found["name"]
    assert found["name"] != machine.describe("cpu")["name"]


def test_of_several_gpus_the_first_visible_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '#!/bin/sh\ncase "$*" in *--id=GPU-b*) echo NVIDIA L4, 570.1, 23034;; '
    with_nvidia_smi(tmp_path, monkeypatch, script + "*) echo NVIDIA H200, 570.1, 143771;; esac\n")
    assert machine.describe("gpu")["accelerator"] == "NVIDIA H200"
    machine.accelerator.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,GPU-a")
    assert machine.describe("gpu")["accelerator"] == "NVIDIA L4"


def test_no_gpu_is_an_error_only_where_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nvidia_smi(tmp_path, monkeypatch, "#!/bin/sh\necho No devices were found\nexit 6\n")
    assert machine.choose_device("auto") == "cpu"
    with pytest.raises(UserError, match="--device gpu: nvidia-smi finds no GPU"):
        machine.choose_device("gpu")


def test_the_matrix_product_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = machine.MATMUL_SCRIPT.replace(str(machine.MATMUL_SIZE), "512")
    monkeypatch.setattr(machine, "MATMUL_SCRIPT", smaller)
    assert 0.1 < machine.matmul_gflops() < 1e5


def test_a_rate_far_below_an_earlier_one_is_said_and_the_best_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = iter([60.0, 200.0, 190.0, 90.0])
    monkeypatch.setattr(machine, "matmul_gflops", lambda: next(rates))
    product = machine.MatrixProduct()
    assert product.is_due()
    assert "60 GFLOP/s, 198 before" in (product.measure(before=198.0) or "")
    assert not product.is_due()
    assert product.measure(before=198.0) is None
    assert product.measure(before=None) is None
    assert "90 GFLOP/s, 200 before" in (product.measure(before=None) or "")
    assert product.rates == {"matmul_gflops": 200.0, "matmul_last_gflops": 90.0}
