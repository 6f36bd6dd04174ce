"""The only SQL: tables, unit of work, migrations, artefacts.

:class:`Store` opens a database; :class:`Tx` is what one request may write, all or nothing; :class:`View` what it may
read. Rows (:mod:`jupyter_quantum.store.rows`) are plain values.
"""

from jupyter_quantum.store.store import Artefacts, Store
from jupyter_quantum.store.tx import Tx
from jupyter_quantum.store.verify import verify
from jupyter_quantum.store.view import View

__all__ = ["Artefacts", "Store", "Tx", "View", "verify"]
