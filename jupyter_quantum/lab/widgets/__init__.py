"""The promotion widget: from a circuit to a device, one row a device, one button, then live until the counts are there.

:func:`promote` is all that a notebook needs. Modules: ``promotion`` (the object, works without a browser), ``watch``
(follows a job), ``rows`` and ``jobcard`` (answers of the service → words), ``plots`` (counts → charts), ``fallback``
(text and plain HTML), ``door`` (what is asked of the client), ``widget`` (the anywidget, with ``promote.js``).
"""

from jupyter_quantum.lab.widgets.promotion import Promotion, promote

__all__ = ["Promotion", "promote"]
