"""Results in the order in which they lie in the targets, whoever read them and whenever they came.

Every piece is a node; what it yields and the pieces split from it stand in it in order. The front of the tree, read
depth first, is what the caller may have; what came too early waits, large blobs in a temporary file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any, Final, final

__all__ = ["Item", "Node", "Ordered"]

_KEEP_BYTES: Final = 64 << 10


@final
class Item:
    """Something found: what was said of it, and its bytes, in memory or in the temporary file."""

    __slots__ = ("_blob", "_offset", "_size", "said", "target")

    def __init__(self, target: int, said: dict[str, Any], blob: bytes) -> None:
        self.target, self.said = target, said
        self._blob: bytes | None = blob
        self._offset, self._size = 0, len(blob)


@final
class Node:
    """A piece: what it has yielded and is not yet given out, pieces split from it among that."""

    __slots__ = ("children", "done", "items")

    def __init__(self) -> None:
        self.items: deque[Item | Node] = deque()
        self.children: set[Node] = set()
        self.done = False

    def child(self) -> Node:
        """A piece split from this one, at this place."""
        node = Node()
        self.items.append(node)
        self.children.add(node)
        return node

    def finish(self) -> None:
        """End this piece and all split from it, whether they are read or not."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            node.done = True
            waiting += node.children


@final
class Ordered:
    """The tree of all targets; `root` holds one node a target."""

    def __init__(self, folder: str | None = None) -> None:
        self.root = Node()
        self._path = [self.root]
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  lives as long as this
        self._end = 0

    def add(self, node: Node, target: int, said: dict[str, Any], blob: bytes = b"") -> None:
        """Something found in a piece."""
        item = Item(target, said, blob)
        if len(blob) > _KEEP_BYTES and node is not self._path[-1]:
            self._file.seek(self._end)
            self._file.write(blob)
            item._blob, item._offset = None, self._end
            self._end += len(blob)
        node.items.append(item)

    def ready(self) -> Iterator[tuple[Item, bytes]]:
        """All that may be given out now, taken out of the tree."""
        while self._path:
            node = self._path[-1]
            if node.items:
                item = node.items.popleft()
                if isinstance(item, Node):
                    self._path.append(item)
                else:
                    yield item, self._bytes(item)
            elif node.done:
                self._path.pop()
                if self._path:
                    self._path[-1].children.discard(node)
            else:
                return

    def _bytes(self, item: Item) -> bytes:
        if item._blob is not None:
            return item._blob
        self._file.seek(item._offset)
        return self._file.read(item._size)

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()
