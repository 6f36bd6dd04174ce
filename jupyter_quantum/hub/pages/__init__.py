"""The service's own page in the hub: what needs you, then by role. Readable and usable without a script."""

from jupyter_quantum.hub.pages.handlers import routes

__all__ = ["routes"]
