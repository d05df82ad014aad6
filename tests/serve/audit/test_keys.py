from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.keys import PublicKey, Signer, load_or_make, load_public, load_signer, public_path
from hashwarden.serve.journal import StorageError


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "keys" / "audit.pem"
    first, second = load_or_make(path), load_or_make(path)
    assert first.public == second.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_public(public_path(path)) == first.public
    assert sorted(one.name for one in path.parent.iterdir()) == ["audit.pem", "audit.pub"]


def test_openssl_takes_the_keys_and_names_them_alike(tmp_path):
    path = tmp_path / "audit.pem"
    signer = load_or_make(path)
    (tmp_path / "text").write_bytes(b"words")
    (tmp_path / "signature").write_bytes(signer.sign(b"words"))
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", path.with_suffix(".pub"), "-rawin"]
    subprocess.run([*verify, "-in", tmp_path / "text", "-sigfile", tmp_path / "signature"], check=True)
    convert = ["openssl", "pkey", "-pubin", "-in", path.with_suffix(".pub"), "-outform", "DER"]
    der = subprocess.run(convert, capture_output=True, check=True).stdout
    assert hashlib.sha256(der).hexdigest() == signer.public.id


def test_a_key_of_openssl_signs(tmp_path):
    path = tmp_path / "own.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    path.chmod(0o600)
    signer = load_signer(path)
    assert signer.public.verifies(b"words", signer.sign(b"words"))
    assert not signer.public.verifies(b"other", signer.sign(b"words"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_private_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "audit.pem"
    load_or_make(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="only its owner"):
        load_or_make(path)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "audit.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no Ed25519 key"):
        load_signer(path)
    with pytest.raises(UsageError, match="no Ed25519 key"):
        load_public(path)


def test_keys_of_another_kind_and_with_a_passphrase_are_refused(tmp_path):
    other, locked = tmp_path / "ec.pem", tmp_path / "locked.pem"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "genpkey", *curve, "-out", other], check=True)
    secret = ["-aes256", "-pass", "pass:x"]
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", *secret, "-out", locked], check=True)
    for path in (other, locked):
        path.chmod(0o600)
        with pytest.raises(UsageError, match="no Ed25519 key"):
            load_signer(path)


def test_where_no_key_can_be_written_it_is_a_storage_error():
    with pytest.raises(StorageError, match="the key cannot be written"):
        load_or_make(Path("/proc/hashwarden/audit.pem"))


def test_a_public_key_survives_its_text():
    key = Signer.generate().public
    assert PublicKey.parse(key.text) == key
    for text in ("", "AAAA", "é", None, "!" + key.text[1:]):
        assert PublicKey.parse(text) is None


def test_two_that_begin_at_once_agree(tmp_path):
    path, code = tmp_path / "audit.pem", (
        "import sys; from pathlib import Path; from hashwarden.serve.audit.keys import load_or_make;"
        "print(load_or_make(Path(sys.argv[1])).public.id)"
    )  # fmt: skip

    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=os.environ)
        for _ in range(3)
    ]
    assert len({run.communicate()[0] for run in runs}) == 1
