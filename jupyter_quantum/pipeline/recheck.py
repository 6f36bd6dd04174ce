"""Everything that can be wrong with the record in a database, given the public keys and checkpoints kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from jupyter_quantum.exceptions import InputError, NotFound
from jupyter_quantum.pipeline.notes import Checkpoint, Verifier, read_checkpoint
from jupyter_quantum.store import View
from jupyter_quantum.store.verify import record

__all__ = ["problems"]


def problems(view: View, keys: Sequence[Verifier], seen: Iterable[str]) -> Iterator[str]:
    """A sentence for each thing that is wrong; none where the record is whole.

    Reads all of it. ``seen`` are the signed notes of the second place: they find what the database alone cannot tell,
    that it was put back to how it once was, or written anew with a tree that fits.
    """
    yield from record(view)
    kept = {row.size: row.note for row in view.checkpoints()}
    for size, note in kept.items():
        if _signed(note, keys) is None:
            yield f"the checkpoint of {size} events is not signed by the key"
    for note in seen:
        checkpoint = _signed(note, keys)
        if checkpoint is None:
            yield "a checkpoint of the second place is not signed by the key"
            continue
        if checkpoint.size not in kept:
            yield f"the checkpoint of {checkpoint.size} events is in the second place only"
        if _root(view, checkpoint.size) != checkpoint.root:
            yield f"the record is not how the checkpoint of {checkpoint.size} events went on"


def _signed(note: str, keys: Sequence[Verifier]) -> Checkpoint | None:
    try:
        found = read_checkpoint(note)
    except InputError:
        return None
    return found if any(key.name == found.origin and key.verifies(found) for key in keys) else None


def _root(view: View, size: int) -> bytes | None:
    try:
        return view.root_at(size)
    except NotFound:
        return None
