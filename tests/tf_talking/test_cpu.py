"""What the CPU has, and that every package asks for oneDNN before TensorFlow is imported."""

import subprocess
import sys

import pytest
from tensorflow.python.util import _pywrap_util_port

from tf_talking import cpu

XEON = """processor : 0
model name : Intel(R) Xeon(R) Processor
flags : fpu sse2 avx fma avx2 avx512f avx512_vnni amx_bf16 avx512_bf16

processor : 1
model name : another
"""


@pytest.fixture
def information(monkeypatch, tmp_path):
    """Writes what Linux says of the CPU; nothing is set for oneDNN."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv(cpu.ONEDNN, "1")
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "INFORMATION", path)
    return path.write_text


def test_names_what_linux_says(information):
    information(XEON)
    assert cpu.cpu_model() == "Intel(R) Xeon(R) Processor"
    assert cpu.instruction_sets() == ["avx", "avx2", "fma", "avx512f", "avx512_vnni"] + ["avx512_bf16", "amx_bf16"]
    assert "avx512_bf16 amx_bf16), oneDNN on" in cpu.cpu_line()


def test_other_systems_are_said_to_be_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "INFORMATION", tmp_path / "missing")
    assert cpu.instruction_sets() == [] and not cpu.multiplies_bfloat16()
    assert "instruction sets unknown" in cpu.cpu_line()


@pytest.mark.parametrize(
    ("name", "value", "multiplies", "onednn"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", False, "on, at most AVX2"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", True, "on, at most AVX512_CORE_BF16"),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", True, "on"),
        (cpu.ONEDNN, "0", False, "off"),
        (cpu.ONEDNN, "1", True, "on"),
    ],
)
def test_bfloat16_pays_where_onednn_may_use_it(information, monkeypatch, name, value, multiplies, onednn):
    information(XEON)
    monkeypatch.setenv(name, value)
    assert (cpu.multiplies_bfloat16(), cpu.onednn()) == (multiplies, onednn)


def test_a_cpu_without_the_instructions_emulates(information):
    information("flags : avx avx2 fma\n")
    assert not cpu.multiplies_bfloat16()


@pytest.mark.parametrize("package", ["tf_talking", "training", "serving", "benchmarks"])
@pytest.mark.parametrize("given", [None, "0"])
def test_every_package_switches_onednn_on_unless_the_user_has_set_it(package, given, repo_root):
    """`python -m package.program` imports the package first."""
    code = f"import os, sys, {package}; print('tensorflow' in sys.modules, os.environ[{cpu.ONEDNN!r}])"
    environment = {cpu.ONEDNN: given} if given else {}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=repo_root, capture_output=True, text=True
    )
    assert result.stdout.split() == ["False", given or "1"], result.stderr


def test_tensorflow_has_seen_it():
    assert _pywrap_util_port.IsMklEnabled() == (cpu.onednn() != "off")
