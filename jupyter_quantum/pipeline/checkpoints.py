"""Checkpoints: the leader signs the tree's size and root, keeps it, and writes it where the database is not.

A second place finds what no look at the database alone can: that all of it was put back to how it once was.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from jupyter_quantum.exceptions import Conflict, InputError, QuantumError, Unavailable
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.notes import Checkpoint, Verifier, checkpoint_text, read_checkpoint
from jupyter_quantum.pipeline.places import Copies, Witness
from jupyter_quantum.pipeline.signing import KeyFile
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import CheckpointRow, TreeState

__all__ = ["Checkpoints"]

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_AGAIN_S: Final = (1.0, 300.0)
_AT_ONCE: Final = 100
_READ_AT_START: Final = 3


class Checkpoints:
    """Makes checkpoints and delivers them; nothing here keeps a job waiting."""

    def __init__(self, context: Context, live: Live) -> None:
        told = context.settings.audit
        self._context = context
        self._live = live
        self._every_s, self._entries = told.every_s, told.entries
        self.key = KeyFile(told.key or context.settings.data_dir / "audit.key")
        copies = (context.settings.data_dir / "checkpoints").as_uri() if told.copies is None else told.copies
        self._copies = Copies(copies) if copies else None
        self._witness = Witness(told.witness) if told.witness else None
        self._making = asyncio.Lock()
        self._made = 0.0
        self._pause, self._deliver_at = 0.0, 0.0
        self.trouble: dict[str, str] = {}
        """Part (``signing``, ``copies``, ``witness``) → what is wrong with it now, in words."""

    # -- life ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Compare the record with what was signed before. Raises Unavailable (``audit.rolled_back``) at a roll-back."""
        keys = await asyncio.to_thread(self.key.verifiers)
        for seen in [*await self._kept(), *await self.copied(_READ_AT_START)]:
            checkpoint = self._own(seen, keys)
            if checkpoint is None:
                continue
            tree, then = await self._tree_at(checkpoint.size)
            if then != checkpoint.root:
                raise _rolled_back(checkpoint.size, tree.size)

    async def run(self) -> None:
        """Look every second whether there is something to sign or to deliver, for ever."""
        self._made = self._clock()
        while True:
            await asyncio.sleep(min(_LOOK_S, self._every_s))
            if self._live.fence is None:
                continue
            try:
                await self._look()
            except Exception:  # the next look tries again
                log.exception("a checkpoint could not be made")
                self.trouble["signing"] = "checkpoints are not made; see the service's log"

    async def close(self) -> None:
        """One more, of everything that was recorded; whatever cannot be delivered now is delivered after the start."""
        try:
            if await self.make() is not None:
                await self._deliver()
        except Exception:
            log.exception("the last checkpoint could not be made")
        if self._witness is not None:
            self._witness.close()

    async def _look(self) -> None:
        now = self._clock()
        last = await self._context.store.read(lambda view: (view.tree().size, view.checkpoint()))
        news = last[0] - (last[1].size if last[1] is not None else 0)
        if news and (now - self._made >= self._every_s or news >= self._entries):
            await self.make()
            self._deliver_at = 0.0
        if now >= self._deliver_at:
            await self._deliver()

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    # -- making ----------------------------------------------------------------------------------------------------

    async def make(self) -> CheckpointRow | None:
        """Sign the tree as it is now; None where this process does not lead or there is nothing new.

        Raises Unavailable (``audit.rolled_back``) where the tree is not how the last signed one went on: no
        signer may ever state both.
        """
        async with self._making:
            fence = self._live.fence
            if fence is None:
                return None
            self._made = self._clock()
            last = await self._context.store.read(lambda view: view.checkpoint())
            tree, then = await self._tree_at(last.size if last is not None else 0)
            if last is not None and then != read_checkpoint(last.note).root:
                self.trouble["signing"] = "the record is not how the last checkpoint went on; nothing is signed"
                raise _rolled_back(last.size, tree.size)
            if last is not None and tree.size <= last.size:
                return None
            row = await asyncio.to_thread(self._signed, tree)
            await self._context.store.write(lambda tx: tx.add_checkpoint(row, fence))
            await asyncio.to_thread(self.key.retire)
            self.trouble.pop("signing", None)
            return row

    def _signed(self, tree: TreeState) -> CheckpointRow:
        signers = self.key.signers()
        text = checkpoint_text(signers[0].verifier.name, tree.size, tree.root)
        note = text + "\n" + "".join(signer.line(text) for signer in signers)
        return CheckpointRow(tree.size, self._context.clock(), note)

    async def _tree_at(self, size: int) -> tuple[TreeState, bytes | None]:
        """The tree now, and its root at this size; None where it is smaller, or parts of it are missing."""

        def read(view: View) -> tuple[TreeState, bytes | None]:
            tree = view.tree()
            try:
                return tree, view.root_at(size)
            except QuantumError:
                return tree, None

        return await self._context.store.read(read)

    # -- what was signed before ------------------------------------------------------------------------------------

    async def _kept(self) -> list[str]:
        row = await self._context.store.read(lambda view: view.checkpoint())
        return [] if row is None else [row.note]

    async def copied(self, count: int | None) -> list[str]:
        """The newest notes of the second place; all of them where ``count`` is None. Raises Unavailable."""
        if self._copies is None:
            return []
        try:
            return await asyncio.to_thread(self._copies.newest, count)
        except Exception as error:  # whatever the file system raises
            log.exception("the second place of the checkpoints cannot be read")
            raise Unavailable(
                f"The checkpoints' second place cannot be read: {error}.",
                code="audit.copies",
                hint="Make it readable, or configure another with audit_copies.",
            ) from error

    @staticmethod
    def _own(note: str, keys: list[Verifier]) -> Checkpoint | None:
        """A checkpoint of this record; None for what somebody else put there."""
        try:
            found = read_checkpoint(note)
        except InputError:
            log.warning("a file among the checkpoints is none")
            return None
        return found if any(key.name == found.origin and key.verifies(found) for key in keys) else None

    # -- delivering ------------------------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        tried = await asyncio.gather(self._copy(), self._ask_witness())
        done = all(tried)
        self._pause = 0.0 if done else min(max(2 * self._pause, _AGAIN_S[0]), _AGAIN_S[1])
        self._deliver_at = self._clock() + self._pause

    async def _copy(self) -> bool:
        """Write to the second place what is not there yet; whether all went well."""
        if self._copies is None:
            return True
        rows = await self._context.store.read(lambda view: view.checkpoints(uncopied=True, limit=_AT_ONCE))
        for row in rows:
            try:
                await asyncio.to_thread(self._copies.add, row.size, row.note)
            except Exception as error:  # whatever the file system raises
                return self._failed("copies", error)
            now = self._context.clock()
            await self._context.store.write(lambda tx, size=row.size, now=now: tx.checkpoint_copied(size, now))  # type: ignore[misc]
        self.trouble.pop("copies", None)
        return True

    async def _ask_witness(self) -> bool:
        """Have the newest checkpoint witnessed, with the proof that it goes on from what the witness saw last."""
        if self._witness is None:
            return True
        row = await self._context.store.read(lambda view: view.checkpoint())
        if row is None or row.witnessed is not None:
            return True
        try:
            said = await self._witnessed(row)
        except Exception as error:  # whatever the network raises
            return self._failed("witness", error)
        now = self._context.clock()
        await self._context.store.write(lambda tx: tx.checkpoint_witnessed(row.size, now, said))
        self.trouble.pop("witness", None)
        return True

    async def _witnessed(self, row: CheckpointRow) -> str:
        assert self._witness is not None
        old = await self._context.store.read(lambda view: view.last_witnessed())
        for _ in range(2):
            if old > row.size:
                raise _rolled_back(old, row.size)
            proof = await self._context.store.read(lambda view, old=old: view.consistency(old, row.size))  # type: ignore[misc]
            other, said = await self._witness.add(old, proof, row.note)
            if other is None:
                return said
            old = other
        raise Conflict("The witness saw another checkpoint last.", code="audit.witness")

    def _failed(self, part: str, error: Exception) -> bool:
        words = f"checkpoints do not reach it: {error}"
        if self.trouble.get(part) != words:
            log.error("The record's %s: %s", part, words)
        self.trouble[part] = words
        return False


def _rolled_back(size: int, there: int) -> Unavailable:
    return Unavailable(
        f"A checkpoint of {size} events was signed; the record, which has {there} events, is not how it went on.",
        code="audit.rolled_back",
        hint="The database was rolled back or edited. If a backup was restored on purpose, keep checkpoints and key as "
        "evidence, move audit.key and the checkpoints' directory away, and start again: the record gets a new origin.",
    )
