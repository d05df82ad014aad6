"""The program itself: start-up, what it says, signals, systemd, and that no secret is ever in its words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.api.config import ServeConfig, TlsSection, load_serve_config
from hashwarden.serve.api.listeners import listeners, tls_of

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import Authority, Link, said, until

START = "from hashwarden.cli import main; main()"


def run(*words, **environment):
    return subprocess.run([sys.executable, "-c", START, "serve", *words], capture_output=True, text=True, check=False,
                          timeout=120, env={**os.environ, **environment})  # fmt: skip


@contextlib.contextmanager
def program(folder, *words, **environment):
    """The program, as it runs; its words come from its file."""
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", START, "serve", *words], stderr=file, stdout=file,
                                   env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip
    try:
        until(lambda: "stop: Ctrl-C" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_the_whole_program(tmp_path):
    tokens, path = tmp_path / "tokens.json", tmp_path / "s"
    made = run("token", "new", "prolog", "--role", "read", "--tokens", str(tokens))
    token = made.stdout.strip()
    assert re.fullmatch(r"hw1_[0-9a-f]{8}_\S{43}", token)
    assert token not in made.stderr
    told = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(told))
        systemd.settimeout(30)
        words = ("--socket", str(path), "--listen", "127.0.0.1:0", "--tokens", str(tokens), "--no-jobs", "--log-format",
                 "text", "--grpc", "127.0.0.1:0")  # fmt: skip
        with program(tmp_path, *words, NOTIFY_SOCKET=str(told), HASHWARDEN_SERVE__LOG__LEVEL="debug") as (process, log):
            assert systemd.recv(100) == b"READY=1"
            assert "curl --unix-socket" in log.read_text()
            wrong = token[:-1] + "!"
            for sent in (token, wrong):
                bearer = {"Authorization": f"Bearer {sent}"}
                status, _ = said(Link(str(path)), f"/v2/models/job?token={token}", **bearer)
                assert status == (200 if sent == token else 401)
            run("token", "revoke", "prolog", "--tokens", str(tokens))
            process.send_signal(signal.SIGHUP)
            assert systemd.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert systemd.recv(100) == b"READY=1"
            assert said(Link(str(path)), "/v2", Authorization=f"Bearer {token}")[0] == 401
            process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert process.wait(30) == 0
    words = log.read_text()
    assert "route=/v2/models/{model} status=200" in words, "it did log requests"
    assert token[13:] not in words
    assert token[13:] not in tokens.read_text()
    assert not path.exists()


def test_what_stands_in_the_way_is_told_and_left_alone(tmp_path):
    path, taken, stale = tmp_path / "file", tmp_path / "taken", tmp_path / "stale"
    path.write_text("mine")
    with pytest.raises(UsageError, match="it is no socket"):
        listeners(ServeConfig(http={"socket": str(path)}))
    assert path.read_text() == "mine"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(taken))
        one.listen()
        with pytest.raises(UsageError, match="somebody answers there"):
            listeners(ServeConfig(http={"socket": str(taken)}))
        assert taken.exists()
        other.bind(str(stale))
    [place] = listeners(ServeConfig(http={"socket": str(stale)}))
    place.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--listen", "0.0.0.0:0"], "which others can reach, without TLS"),
        (["--listen", "[::]:0"], "which others can reach, without TLS"),
        (["--listen", "nonsense"], "expected HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "expected HOST:PORT"),
        (["--grpc", "0.0.0.0:0"], "which others can reach, without TLS"),
        ([], "nowhere to answer"),
        (["--client-ca", "/none"], "tls.client_ca without tls.certificate"),
        (["--certificate", "/none", "--listen", "127.0.0.1:0"], "/none: it cannot be used"),
        (["--tokens", "/none"], "/none: it cannot be read"),
        (["--policy"], "requires an argument"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(words, told):
    from hashwarden.serve.api.service import ScoringService

    if words == ["--policy"]:
        assert told in run(*words).stderr
        return
    from hashwarden.cli.run_serve import ServeRequest, _flags

    names = {"--listen": "listen", "--grpc": "grpc", "--client-ca": "client_ca", "--certificate": "certificate",
             "--tokens": "tokens"}  # fmt: skip
    blank = dict.fromkeys(ServeRequest.__dataclass_fields__)
    given = {names[flag]: value for flag, value in zip(words[::2], words[1::2], strict=True)}
    if "listen" in given:
        given["listen"] = (given["listen"],)
    flags = _flags(ServeRequest(**{**blank, "listen": (), "jobs": False, "socket": "", **given}))
    with pytest.raises(UsageError, match=re.escape(told)):
        ScoringService(load_serve_config(None, flags))


def test_a_key_with_a_password_or_another_s_is_refused_and_asks_no_terminal(tmp_path):
    authority = Authority(tmp_path)
    mine, other = authority.issue("mine"), authority.issue("other")
    assert tls_of(TlsSection(certificate=mine)) is not None
    with pytest.raises(UsageError, match="cannot be used"):
        tls_of(TlsSection(certificate=mine, key=other))
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", mine, "-out", locked, "-passout", "pass:x"], check=True)
    with pytest.raises(UsageError, match="cannot be used"):
        tls_of(TlsSection(certificate=mine, key=locked))


def test_the_socket_s_file_lets_in_as_few_as_are_known(tmp_path):
    for users, mode in (({}, 0o600), ({"root": ["read"]}, 0o600), ({"@daemon": ["read"]}, 0o660),
                        ({"nobody": ["read"]}, 0o666), ({"*": ["read"]}, 0o666)):  # fmt: skip
        config = ServeConfig(http={"socket": str(tmp_path / "s")}, access={"users": users})
        [place] = listeners(config)
        assert (tmp_path / "s").stat().st_mode & 0o777 == mode
        place.close()
        assert not (tmp_path / "s").exists()


def test_settings_come_from_flags_environment_and_file_and_unknown_ones_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "serve.toml"
    path.write_text('[limits]\nrows = 5\nin_flight = 7\n[http]\nlisten = ["127.0.0.1:1"]\n')
    monkeypatch.setenv("HASHWARDEN_SERVE__LIMITS__ROWS", "6")
    monkeypatch.setenv("HASHWARDEN_SERVE__ACCESS__USERS", '{"alice": ["read"]}')
    config = load_serve_config(path, {"http": {"socket": "/x"}})
    assert (config.limits.rows, config.limits.in_flight, config.http.socket) == (6, 7, "/x")
    assert config.access.users == {"alice": ("read",)}
    wrong = {"[limits]\nrow = 5": "Did you mean 'rows'", "[access.users]\nbob = ['root']": "access.users.bob.0",
             "[limits": "TOML", "[limits]\nrows = 0": "limits.rows = 0"}  # fmt: skip
    for text, told in wrong.items():
        path.write_text(text)
        monkeypatch.delenv("HASHWARDEN_SERVE__LIMITS__ROWS", raising=False)
        with pytest.raises(UsageError, match=re.escape(told)):
            load_serve_config(path)


def test_what_can_be_asked_instead_of_serving(tmp_path):
    done = run("--schema")
    assert json.loads(done.stdout)["properties"].keys() >= {"http", "tls", "access", "limits", "desk", "log"}
    done = run("--check", "--no-jobs")
    assert done.returncode == 0, done.stderr
    assert "kernel 0.1.0 gives its known answers" in done.stdout
