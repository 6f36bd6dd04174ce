"""Envelopes: what was sealed for one place opens there, unchanged, and nowhere else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.store.crypt import ALGORITHMS, DataKey, header_of, is_sealed
from jupyter_quantum.store.crypt.envelope import open_sealed, seal

NAMES = st.text(min_size=1, max_size=20)
PLACES = st.tuples(NAMES, NAMES, NAMES)


def a_key(tenant: str, *, version: int = 1, algorithm: str = "A256GCM", raw: bytes = bytes(32)) -> DataKey:
    """A key that only its names tell from another."""
    return DataKey("key_1", tenant, version, algorithm, raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), PLACES, st.sampled_from(sorted(ALGORITHMS)), st.integers(1, 2**32 - 1))
def test_what_is_sealed_opens_unchanged(raw: bytes, place: tuple[str, str, str], algorithm: str, version: int) -> None:
    """Any bytes come back; the header names algorithm, key and version; the text is not in the envelope."""
    tenant, table, row = place
    key = a_key(tenant, version=version, algorithm=algorithm, raw=os.urandom(32))
    sealed = seal(key, table, row, raw)
    head = header_of(sealed)
    assert (head.algorithm, head.key, head.version) == (algorithm, "key_1", version)
    assert is_sealed(sealed)
    assert open_sealed(key, table, row, sealed) == raw
    assert len(raw) < 8 or raw not in sealed


@settings(max_examples=200, deadline=None)
@given(PLACES, PLACES, st.sampled_from([1, 2]))
def test_another_place_does_not_open_it(
    sealed_at: tuple[str, str, str], opened_at: tuple[str, str, str], v: int
) -> None:
    """The same key under another tenant, table, row or version refuses, however the names are cut."""
    key = a_key(sealed_at[0])
    sealed = seal(key, *sealed_at[1:], b"text")
    other = a_key(opened_at[0], version=v)
    if (sealed_at, 1) == (opened_at, v):
        assert open_sealed(other, *opened_at[1:], sealed) == b"text"
    else:
        with pytest.raises(Unavailable) as refused:
            open_sealed(other, *opened_at[1:], sealed)
        assert refused.value.code == "store.damaged"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.data())
def test_any_change_is_found(raw: bytes, data: st.DataObject) -> None:
    """One flipped bit anywhere, header included, or a cut, is refused as damage and as nothing else."""
    key = a_key("qcourse")
    sealed = seal(key, "blobs", "row", raw)
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for bad in (bytes(flipped), sealed[:at]):
        with pytest.raises(Unavailable) as refused:
            open_sealed(key, "blobs", "row", bad)
        assert refused.value.code == "store.damaged"


def test_the_same_bytes_are_sealed_anew_each_time() -> None:
    """Nonces are drawn by chance: equal texts have unequal envelopes."""
    key = a_key("qcourse")
    assert len({seal(key, "blobs", "row", b"text") for _ in range(100)}) == 100


def test_an_unknown_algorithm_is_refused() -> None:
    """A key whose algorithm nobody knows seals and opens nothing; its bytes are in no representation."""
    with pytest.raises(Unavailable) as refused:
        a_key("qcourse", algorithm="ROT13")
    assert refused.value.code == "keys.algorithm"
    assert "raw" not in repr(a_key("qcourse", raw=b"x" * 32))
