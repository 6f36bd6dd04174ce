"""Policy: Cedar files in, decisions in words out. It fails closed.

``files`` reads and indexes a directory, ``conditions`` takes conditions apart and has Cedar say which parts hold,
``phrases`` puts them into words, ``engine`` decides. ``witness``, ``check`` and ``cases`` are what an author needs.
"""

from jupyter_quantum.pipeline.policy.engine import Policies
from jupyter_quantum.pipeline.policy.facts import context_of
from jupyter_quantum.pipeline.policy.files import PolicyBroken

__all__ = ["Policies", "PolicyBroken", "context_of"]
