"""The service, and ``configure(c)``: the line that wires it into an existing hub.

Importing this package needs the standard library only, since it is imported into hub processes.
"""

from jupyter_quantum.hub.configure import configure

__all__ = ["configure"]
