"""The dashboard's files: only they are served, under a strict policy, and as their packages made them."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from hashwarden.serve.pages.files import FOLDER, files
from hashwarden.serve.pages.pages import CSP, Pages

VENDOR = FOLDER / "vendor"


def get(path, method="GET", **headers):
    return Pages().answer(method, path, {}, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def test_every_file_is_served_with_its_type_and_the_policy():
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
             ".json": "application/json", ".LICENSE": "text/plain"}  # fmt: skip
    assert len(files()) > 15
    for path, file in files().items():
        reply = get(path)
        assert reply.status == 200
        assert reply.body == file.read_bytes()
        assert reply.headers["Content-Type"].startswith(kinds[file.suffix])
        assert reply.headers["Content-Security-Policy"] == CSP
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert ("immutable" in reply.headers["Cache-Control"]) == (file.parent == VENDOR)
    assert get("/").body == (FOLDER / "index.html").read_bytes()


def test_a_file_that_the_browser_has_is_not_sent_again_and_a_changed_one_is():
    tag = get("/app.js").headers["ETag"]
    same = get("/app.js", if_none_match=f'"other", W/{tag}')
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    assert get("/app.js", if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    "path",
    ["/../pages.py", "/static/../../pages.py", "//etc/passwd", "/vendor/../../pages.py", "/vendor", "/vendor/",
     "/app.js/", "/%2e%2e/pages.py", "/app.js\x00", "/\udcff", "/plainer", ""],
)  # fmt: skip
def test_no_other_path_leads_anywhere(path):
    reply = get(path)
    assert reply.status == 404
    assert reply.headers["Content-Security-Policy"] == CSP
    assert b"<script" not in reply.body


def test_files_are_only_read():
    assert get("/app.js", method="POST").status == 405
    assert get("/app.js", method="HEAD").status == 200


def test_without_anybody_to_ask_there_are_no_plain_pages():
    assert get("/plain").status == 404


def test_vendored_files_are_what_their_packages_hold():
    listed = json.loads((VENDOR / "VENDORED.json").read_text())["packages"]
    named = {name: entry for package in listed for name, entry in package["files"].items()}
    assert {file.name for file in VENDOR.iterdir()} == {*named, "VENDORED.json"}
    for name, entry in named.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == entry["sha256"], name
    for package in listed:
        assert package["licence"] in {"MIT", "Apache-2.0"}
        assert f"{package['name']}-{package['version']}.LICENSE" in package["files"]
        assert package["source"].startswith("https://registry.npmjs.org/")


def test_nothing_of_a_page_lies_elsewhere_and_no_script_or_style_stands_in_it():
    allowed = "http://www.w3.org/2000/svg"
    for file in FOLDER.iterdir():
        if file.is_file():
            text = file.read_text()
            found = {link for link in re.findall(r"""\b(?:https?:)?//[a-z][^\s"'`<)]*""", text) if ":" in link}
            assert {link for link in found if not link.startswith(allowed) and "HOST" not in link} == set(), file.name
            assert "innerHTML" not in text and "eval(" not in text and "new Function" not in text, file.name  # noqa: PT018
    index = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|\bstyle=|<style|\bon[a-z]+=", index) == []
