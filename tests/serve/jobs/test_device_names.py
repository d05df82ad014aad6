import pytest

from hashwarden.serve.jobs.device_names import DeviceNames, read_minors
from hashwarden.serve.sources.source import Device

A, B, C = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "abc")
WHOLE = (Device(A, 0), Device(B, 1))
CUT = (Device("MIG-1", 0, mig=1), Device("MIG-2", 0, mig=2), Device(B, 1))


def information(folder, numbers):
    for place, (uuid, minor) in enumerate(numbers):
        gpu = folder / f"0000:0{place}:00.0"
        gpu.mkdir(parents=True)
        lines = ("Model: \t\t NVIDIA H100", f"GPU UUID: \t {uuid}", f"Device Minor: \t {minor}")
        (gpu / "information").write_text("\n".join(lines) + "\n")
    return folder


def test_minor_numbers_are_read_from_the_driver(tmp_path):
    assert read_minors(information(tmp_path, [(A, 3), (B, 0)])) == {A: 3, B: 0}
    assert read_minors(tmp_path / "nothing") == {}


@pytest.mark.parametrize(("uuid", "minor"), [("GPU-????????", "x"), ("????", "1"), (A, "-1"), (A, "²")])
def test_what_the_driver_does_not_tell_is_not_known(tmp_path, uuid, minor):
    assert read_minors(information(tmp_path, [(uuid, minor)])) == {}


def test_the_same_number_means_different_gpus_by_bus_by_device_file_and_by_gres_conf():
    names = DeviceNames(WHOLE, {A: 5, B: 2})
    assert (names.index(0), names.minor(0), names.place(0)) == ((A,), (), (B,))
    assert (names.minor(5), names.minor(2), names.place(1), names.place(2)) == ((A,), (B,), (A,), ())


def test_without_minor_numbers_all_numbers_are_nvmls():
    names = DeviceNames(WHOLE)
    assert [f(1) for f in (names.index, names.minor, names.place)] == [(B,)] * 3


def test_a_gpu_that_is_not_watched_has_no_name():
    names = DeviceNames(WHOLE[:1], {A: 0, B: 1})
    assert (names.minor(1), names.index(1), names.named(B)) == ((), (), ())


def test_mig_instances_are_named_by_uuid_or_by_gpu_and_instance_and_never_by_place():
    names = DeviceNames(CUT, {C: 0, B: 1})
    assert names.named("MIG-2") == ("MIG-2",)
    assert (names.instance(0, 2), names.instance(0, 3)) == (("MIG-2",), ())
    assert names.place(0) == ()
    assert names.index(0) == names.minor(0) == ("MIG-1", "MIG-2")  # the whole GPU was given: all of it


def test_mig_instances_of_a_gpu_whose_minor_numbers_have_gaps_are_not_guessed():
    assert DeviceNames(CUT, {C: 4, B: 1}).minor(4) == ()


def test_the_beginning_of_a_uuid_counts_if_it_is_long_and_names_one():
    names = DeviceNames(WHOLE)
    assert names.named(A[:12]) == (A,)
    assert names.named("GPU-") == names.named(A[:8]) == names.named("") == names.named("0") == ()
    assert DeviceNames((Device(A, 0), Device(A[:-1] + "1", 1))).named(A[:20]) == ()


def test_several_names_give_each_device_once_in_the_order_of_devices():
    names = DeviceNames(WHOLE)
    assert names.all_of([(B,), (A, B), ("GPU-other",)]) == (A, B)
