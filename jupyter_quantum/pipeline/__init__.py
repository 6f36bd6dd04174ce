"""The way of a job: one module a stage, and :class:`Pipeline`, the facade that the hub's handlers call.

``validate``, ``submit``, ``decide``, ``schedule``, ``execute`` (and settle), ``retire``; ``reconcile`` after a crash.
"""

from jupyter_quantum.pipeline.people import Directory
from jupyter_quantum.pipeline.pipeline import Pipeline
from jupyter_quantum.pipeline.policy import Policies, PolicyBroken
from jupyter_quantum.pipeline.settings import Limits, Settings

__all__ = ["Directory", "Limits", "Pipeline", "Policies", "PolicyBroken", "Settings"]
