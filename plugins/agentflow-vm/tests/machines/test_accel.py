"""Whether guests can run on the processor itself."""

from __future__ import annotations

import pytest

from agentflow_core.errors import SandboxError
from agentflow_vm.machines import accel
from agentflow_vm.machines.accel import accel_of, why_no_kvm


def test_a_processor_without_virtualization_has_no_kvm_whatever_device_is_there(tmp_path):
    cpuinfo, device = tmp_path / "cpuinfo", tmp_path / "kvm"
    cpuinfo.write_text("processor : 0\nflags : fpu sse2 hypervisor\n")
    device.touch()
    assert "neither vmx nor svm" in (why_no_kvm(device, cpuinfo) or "")


def test_a_device_that_is_missing_or_none_of_kvm_is_told(tmp_path):
    cpuinfo, device = tmp_path / "cpuinfo", tmp_path / "kvm"
    cpuinfo.write_text("flags : fpu svm\n")
    assert "No such file" in (why_no_kvm(device, cpuinfo) or "")
    device.touch()
    assert "makes no machine" in (why_no_kvm(device, cpuinfo) or "")


def test_kvm_that_is_asked_for_and_cannot_be_had_is_an_error_and_auto_falls_back():
    if why_no_kvm() is None:
        assert accel_of("auto") == accel_of("kvm") == "kvm"
        return
    assert accel_of("auto") == accel_of("tcg") == "tcg"
    with pytest.raises(SandboxError) as caught:
        accel_of("kvm")
    assert caught.value.code == "provider_unavailable"


def test_emulation_can_be_asked_for_everywhere():
    assert accel.accel_of("tcg") == "tcg"
