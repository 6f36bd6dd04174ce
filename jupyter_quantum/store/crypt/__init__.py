"""Encryption at rest: envelopes, data keys of tenants, and the master keys that wrap them.

Everything sealed is one :mod:`envelope <jupyter_quantum.store.crypt.envelope>` that names its algorithm and its key. A
tenant (a project, or :data:`SERVICE` for what belongs to nobody) has data keys of its own, one of which seals. They are
kept wrapped by a master key (:mod:`~jupyter_quantum.store.crypt.masters`) that never enters the database.
"""

from jupyter_quantum.store.crypt.envelope import ALGORITHMS, DataKey, Header, header_of, is_sealed
from jupyter_quantum.store.crypt.file import FileMaster
from jupyter_quantum.store.crypt.keyring import SERVICE, Keyring, shredded
from jupyter_quantum.store.crypt.masters import MasterKey, Wrapped

__all__ = [
    "ALGORITHMS",
    "SERVICE",
    "DataKey",
    "FileMaster",
    "Header",
    "Keyring",
    "MasterKey",
    "Wrapped",
    "header_of",
    "is_sealed",
    "shredded",
]
