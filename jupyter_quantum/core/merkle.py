"""The arithmetic of Merkle trees as RFC 6962, section 2.1, defines them: roots, inclusion and consistency proofs.

A tree over ``n`` leaves is made of *perfect* subtrees, each over ``2**level`` leaves that begin at a multiple of that.
A :data:`Node` names one by its level and its place among those of its level. What is needed of a large tree is so only
a few hashes of perfect subtrees, which never change once their leaves are there: functions here say which
(:func:`cover`, :func:`inclusion`, :func:`consistency`), and put them together (:func:`fold`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "EMPTY",
    "Frontier",
    "Node",
    "consistency",
    "consistent",
    "cover",
    "fold",
    "included",
    "inclusion",
    "leaf_hash",
    "node_hash",
    "perfect",
]

Node = tuple[int, int]
"""Level and place: the subtree over the leaves ``place << level`` to ``(place + 1) << level``."""

EMPTY: Final = hashlib.sha256().digest()
"""The root of the tree without leaves."""

_SIZE: Final = 32


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash of a range from the hashes of its perfect subtrees (:func:`cover`), from left to right."""
    if not hashes:
        return EMPTY
    found = hashes[-1]
    for left in reversed(hashes[:-1]):
        found = node_hash(left, found)
    return found


def perfect(leaves: Sequence[bytes]) -> bytes:
    """The hash of a perfect subtree from its leaves' hashes; their number is a power of two."""
    row = list(leaves)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def cover(begin: int, end: int) -> list[Node]:
    """The perfect subtrees that make up the leaves from ``begin`` to ``end`` (exclusive), from left to right.

    ``begin`` is a multiple of a power of two that is not below ``end - begin``, as in every range of a tree.
    """
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append((level, begin >> level))
        begin += 1 << level
    return found


def _split(count: int) -> int:
    """The largest power of two below ``count``: where a tree over ``count`` leaves is divided."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion(index: int, size: int) -> list[list[Node]]:
    """What proves that leaf ``index`` is in the tree over ``size`` leaves: the covers of the hashes, bottom up.

    Raises ValueError for a leaf that the tree does not have.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree over {size} leaves has no leaf {index}")
    path: list[list[Node]] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(cover(middle, end))
            end = middle
        else:
            path.append(cover(begin, middle))
            begin = middle
    return path[::-1]


def consistency(first: int, second: int) -> list[list[Node]]:
    """What proves that the tree over ``first`` leaves is how the tree over ``second`` began (section 2.1.2).

    Empty where either is trivial. Raises ValueError where ``first`` is greater than ``second``.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree over {second} leaves did not begin with {first}")
    if first in (0, second):
        return []
    path: list[list[Node]] = []
    begin, end, whole = 0, second, True
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(cover(middle, end))
            end = middle
        else:
            path.append(cover(begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(cover(begin, end))
    return path[::-1]


def included(leaf: bytes, index: int, size: int, proof: Iterable[bytes]) -> bytes | None:
    """The root that a proof of inclusion leads to (RFC 9162, section 2.1.3.2); None where it has a wrong length."""
    if not 0 <= index < size:
        return None
    at, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return found if last == 0 else None


def consistent(first: int, second: int, before: bytes, after: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that root ``before`` is how root ``after`` began (RFC 9162, section 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not proof and (before == after if first else before == EMPTY)
    steps = list(proof)
    if not first & (first - 1):
        steps.insert(0, before)
    if not steps:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and old == before and new == after


class Frontier:
    """A tree's right edge: its size and the hashes of its perfect subtrees, all that appending needs."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(hashes) != size.bit_count():
            raise ValueError("the edge does not fit the size")
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def read(cls, size: int, raw: bytes) -> Frontier:
        """From :meth:`raw`. Raises ValueError where it cannot be one."""
        if len(raw) % _SIZE:
            raise ValueError("the edge is cut off")
        return cls(size, [raw[at : at + _SIZE] for at in range(0, len(raw), _SIZE)])

    @property
    def raw(self) -> bytes:
        """The hashes, one after the other."""
        return b"".join(self._hashes)

    @property
    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return fold(self._hashes)

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Add a leaf; the perfect subtrees (above the leaf) that it completes, from the lowest up."""
        done: list[tuple[Node, bytes]] = []
        found, place, level = leaf, self.size, 0
        while place & 1:
            found = node_hash(self._hashes.pop(), found)
            place, level = place >> 1, level + 1
            done.append(((level, place), found))
        self._hashes.append(found)
        self.size += 1
        return done
