"""Container images: what `docker save` and OCI layouts say about their layers, so that names tell which layer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hashwarden.kernels.sass.source import ByteSource
from hashwarden.kernels.sass.tarred import Member

__all__ = ["MANIFEST_BYTES", "layer_names"]

MANIFEST_BYTES = 8 << 20
"""Largest manifest that is read."""


def layer_names(source: ByteSource, members: Iterable[Member]) -> dict[str, str]:
    """Names of the layers of a `docker save` tar or OCI layout, by the name of the member that holds each.

    Parameters
    ----------
    source : ByteSource
        The tar archive.
    members : iterable of Member
        Its members.

    Returns
    -------
    dict of str to str
        ``{"blobs/sha256/ab…": "layer2of5:sha256:ab…"}``; empty if the archive is no image, or its manifest is damaged:
        names are a help, the layers are read all the same.
    """
    by_name = {member.name.removeprefix("./"): member for member in members}
    named: dict[str, str] = {}
    for layers in _docker(source, by_name) or _oci(source, by_name):
        for index, layer in enumerate(layers, 1):
            named.setdefault(layer, f"layer{index}of{len(layers)}:{_digest(layer)}")
    return named


def _docker(source: ByteSource, members: dict[str, Member]) -> list[list[str]]:
    manifest = _json(source, members.get("manifest.json"))
    images = manifest if isinstance(manifest, list) else []
    return [_texts(image.get("Layers")) for image in images if isinstance(image, dict)]


def _oci(source: ByteSource, members: dict[str, Member]) -> list[list[str]]:
    found: list[list[str]] = []
    waiting = _manifests(_json(source, members.get("index.json")))
    for place in waiting[:1000]:  # an index may name further indices, one level of which is followed
        manifest = _json(source, members.get(place))
        inner = [_json(source, members.get(further)) for further in _manifests(manifest)[:1000]]
        for one in (manifest, *inner):
            layers = one.get("layers") if isinstance(one, dict) else None
            if isinstance(layers, list):
                found.append([_blob(layer) for layer in layers if isinstance(layer, dict)])
    return found


def _manifests(index: object) -> list[str]:
    listed = index.get("manifests") if isinstance(index, dict) else None
    return [_blob(one) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _blob(descriptor: dict[str, Any]) -> str:
    return "blobs/" + str(descriptor.get("digest", "")).replace(":", "/", 1)[:200]


def _texts(values: object) -> list[str]:
    return [value[:4096] for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _json(source: ByteSource, member: Member | None) -> object:
    if member is None or member.size > MANIFEST_BYTES:
        return None
    try:
        return json.loads(bytes(source.read(member.offset, member.size)))
    except (ValueError, RecursionError):
        return None


def _digest(layer: str) -> str:
    """The digest in a layer's path: ``blobs/sha256/<hex>`` or ``<hex>/layer.tar``."""
    parts = layer.split("/")
    return f"sha256:{parts[2][:12]}" if parts[0] == "blobs" and len(parts) > 2 else parts[0][:12]
