"""For authors of plug-ins, operators and our own tests: in-memory parts, conformance suites, proofs and benchmarks.

It sits on top of all other packages; nothing of the product imports it.
"""
