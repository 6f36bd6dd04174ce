"""The tree: vectors that others publish, and properties against the RFC's own recursive words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum.core import merkle
from jupyter_quantum.core.merkle import EMPTY, Frontier, consistent, cover, fold, included, leaf_hash, node_hash

# The eight entries and roots that certificate transparency's reference implementations test with.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
STEPS = {
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _below(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def _below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = _below(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = _below(len(leaves))
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def hashes(leaves: Sequence[bytes], covers: Sequence[Sequence[merkle.Node]]) -> list[bytes]:
    """What a store would answer."""
    return [fold([merkle.perfect(leaves[at << level : (at + 1) << level]) for level, at in nodes]) for nodes in covers]


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def test_published_vectors() -> None:
    """Roots of every size, paths and a consistency proof."""
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    edge = Frontier()
    for size, root in enumerate(ROOTS):
        assert edge.root.hex() == naive_root(leaves[:size]).hex() == root
        if size < len(leaves):
            edge.append(leaves[size])
    for (index, size), path in PATHS.items():
        assert [each.hex() for each in hashes(leaves, merkle.inclusion(index, size))] == path
    for (first, second), steps in STEPS.items():
        assert [each.hex() for each in hashes(leaves, merkle.consistency(first, second))] == steps


@given(st.integers(1, 200), st.data())
def test_inclusion_is_the_rfcs(size: int, data: st.DataObject) -> None:
    """Proofs equal the recursive definition's, lead to the root, and no other leaf's."""
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    proof = hashes(leaves, merkle.inclusion(index, size))
    assert proof == naive_path(index, leaves)
    root = naive_root(leaves)
    assert included(leaves[index], index, size, proof) == root
    assert included(leaf_hash(b"x"), index, size, proof) != root
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert included(leaves[index], other, size, proof) != root
    assert included(leaves[index], index, size, [*proof, root]) is None
    if proof:
        assert included(leaves[index], index, size, proof[:-1]) is None


@given(st.integers(0, 200), st.data())
def test_consistency_is_the_rfcs(second: int, data: st.DataObject) -> None:
    """Proofs equal the recursive definition's and hold for these roots alone."""
    first = data.draw(st.integers(0, second))
    leaves = leaves_of(second)
    proof = hashes(leaves, merkle.consistency(first, second))
    if first:
        assert proof == naive_proof(first, leaves)
    before, after = naive_root(leaves[:first]), naive_root(leaves)
    assert consistent(first, second, before, after, proof)
    assert not consistent(first, second, leaf_hash(b"x"), after, proof)
    assert not consistent(first, second, before, leaf_hash(b"x"), proof) or first == 0
    assert not consistent(first, second, before, after, [*proof, after])
    if first not in (0, second):
        assert not consistent(first, second, before, after, proof[:-1])
        assert not consistent(second, first, after, before, proof)


@given(st.integers(0, 300))
def test_the_edge_is_the_tree(size: int) -> None:
    """Appending gives the root, names each perfect subtree once, and goes on from its bytes."""
    leaves = leaves_of(size)
    edge, nodes = Frontier(), {}
    for leaf in leaves:
        edge = Frontier.read(edge.size, edge.raw)
        nodes |= dict(edge.append(leaf))
    assert edge.root == naive_root(leaves)
    assert len(nodes) == size - size.bit_count()
    for (level, at), found in nodes.items():
        assert found == naive_root(leaves[at << level : (at + 1) << level])
    if size:
        assert fold([nodes.get(node) or leaves[node[1]] for node in cover(0, size)]) == edge.root


def test_what_cannot_be_is_refused() -> None:
    """Leaves that are not there, trees that shrink, an edge that does not fit."""
    assert fold([]) == EMPTY
    assert included(EMPTY, 3, 3, []) is None
    with pytest.raises(ValueError, match="no leaf 3"):
        merkle.inclusion(3, 3)
    with pytest.raises(ValueError, match="did not begin"):
        merkle.consistency(4, 3)
    with pytest.raises(ValueError, match="does not fit"):
        Frontier(3, [EMPTY])
    with pytest.raises(ValueError, match="cut off"):
        Frontier.read(1, EMPTY[:-1])
