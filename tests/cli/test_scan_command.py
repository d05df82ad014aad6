"""The command's own work: flags, forms, messages, exit codes; what is read and judged is foretold."""

import json
import sys

import pytest

from hashwarden.cli import main
from hashwarden.errors import EncryptedError, MissingTargetError, ModelError
from hashwarden.serve.scan.events import Kernels, Unreadable


@pytest.fixture
def command(scorer, rule, monkeypatch, capsys, cache_folder):
    """Run the command line; gives exit code, standard output and standard error."""
    monkeypatch.setattr("hashwarden.cli.run_scan.judges", lambda: (scorer, rule))
    monkeypatch.setenv("HASHWARDEN_CACHE", str(cache_folder))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hashwarden", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


@pytest.fixture
def mixed(foretold, table_of):
    gone = MissingTargetError("no such file", "a file", "Check the name.", where="gone")
    locked = EncryptedError("a password is needed", "an open archive", "Decrypt it.", where="locked\x1b.zip")
    foretold(
        {
            "clean.so": [Kernels(0, table_of([("clean.so#fatbin0", "plain", 50)]))],
            "miner.so": [Kernels(0, table_of([("miner.so#fatbin0", "mine_a", 50), ("miner.so#fatbin1", "plain", 50)]))],
            "hash.so": [Kernels(0, table_of([("hash.so#fatbin0", "hash_a", 50)]))],
            "gone": [Unreadable(0, gone)],
            "locked": [Unreadable(0, locked)],
        }
    )


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["clean.so"], 0),
        (["miner.so"], 1),
        (["hash.so"], 0),
        (["hash.so", "--fail-on", "hash"], 1),
        (["miner.so", "--fail-on", "never"], 0),
        (["gone"], 11),
        (["clean.so", "locked"], 15),
        (["gone", "locked"], 10),
        (["gone", "miner.so"], 1),
        (["gone", "--fail-on", "not-judged"], 1),
    ],
)
def test_exit_codes(command, arguments, code):
    assert command("scan", *arguments)[0] == code


@pytest.mark.usefixtures("mixed")
def test_the_table_goes_out_and_each_bad_object_gives_one_line_on_standard_error(command):
    _, out, err = command("scan", "gone", "locked", "miner.so")
    assert "✗ hash: mining-like" in out
    assert err.splitlines() == [
        "hashwarden: gone: no such file; expected a file. Check the name.",
        "hashwarden: locked\\x1b.zip: a password is needed; expected an open archive. Decrypt it.",
    ]


@pytest.mark.usefixtures("mixed")
def test_quiet_leaves_the_messages_and_the_code(command):
    code, out, err = command("scan", "-q", "gone", "miner.so")
    assert (code, out) == (1, "")
    assert err.startswith("hashwarden: gone:")


@pytest.mark.usefixtures("mixed")
def test_json_carries_the_exit_code_and_the_limits(command):
    code, out, _ = command("scan", "miner.so", "-f", "json", "--max-expanded", "2GB", "--timeout", "1.5m")
    document = json.loads(out)
    assert document["exit_code"] == code == 1
    assert document["limits"]["expanded_bytes"] == 2_000_000_000
    assert document["limits"]["seconds"] == 90
    assert [kernel["kernel"] for kernel in document["kernels"]] == ["mine_a", "plain"]


@pytest.mark.usefixtures("mixed")
def test_a_report_file_is_written_also_when_quiet(command, tmp_path):
    path = tmp_path / "scan.sarif"
    _, out, _ = command("scan", "miner.so", "-q", "-f", "sarif", "-o", path)
    assert out == ""
    assert json.loads(path.read_text())["runs"][0]["results"][0]["ruleId"] == "HW001"


@pytest.mark.usefixtures("mixed")
def test_explain_and_kernels_add_to_the_table(command):
    _, out, _ = command("scan", "miner.so", "--explain", "--kernels")
    assert "- the name begins like mine" in out
    assert out.rstrip().splitlines()[-1].endswith("plain")


@pytest.mark.usefixtures("mixed")
def test_an_unwritable_report_is_one_line(command, tmp_path):
    code, _, err = command("scan", "miner.so", "-o", tmp_path / "no" / "x.json")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "cannot be written" in err


@pytest.mark.usefixtures("mixed")
def test_an_unsafe_cache_is_told_and_the_scan_goes_on(command, cache_folder):
    cache_folder.chmod(0o777)
    code, out, err = command("scan", "miner.so")
    assert code == 1
    assert "mining-like" in out
    assert "scanning without a cache" in err
    assert "--no-cache" in err


@pytest.mark.usefixtures("mixed")
def test_without_cache_nothing_is_kept(command, cache_folder, tmp_path, foretold, table_of):
    path = tmp_path / "a.so"
    path.write_bytes(b"x")
    foretold({str(path): [Kernels(0, table_of([("a#fatbin0", "plain", 50)]))]})
    command("scan", path, "--no-cache")
    assert list(cache_folder.iterdir()) == []
    command("scan", path)
    assert len(list(cache_folder.iterdir())) == 1


def test_a_missing_model_is_one_line_and_its_own_code(command, monkeypatch):
    def missing():
        raise ModelError(
            "no model file", "kernel.onnx in the package", "Install hashwarden again.", where="kernel.onnx"
        )

    monkeypatch.setattr("hashwarden.cli.run_scan.judges", missing)
    code, out, err = command("scan", "a.so")
    assert (code, out) == (4, "")
    assert (
        err
        == "hashwarden: kernel.onnx: no model file; expected kernel.onnx in the package. Install hashwarden again.\n"
    )


def test_an_interrupt_is_130_and_silent(command, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("hashwarden.serve.scan.scan.read_targets", interrupted)
    assert command("scan", "a.so") == (130, "", "")


def test_a_fault_of_our_own_is_no_finding(command, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("hashwarden.serve.scan.scan.read_targets", broken)
    code, _, err = command("scan", "a.so")
    assert code == 70
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize("arguments", [[], ["--jobs", "0", "x"], ["--pid", "0"], ["--format", "xml", "x"]])
def test_what_cannot_be_meant_is_2(command, arguments):
    code, out, err = command("scan", *arguments)
    assert (code, out) == (2, "")
    assert err
