"""The user's side of Jupyter: server extension, the kernel *Quantum Sandbox*, widgets.

Everything here runs in the user's own server or kernel, which the service does not trust: it offers what the user's own
token may do, and decides nothing.
"""
