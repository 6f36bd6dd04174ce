"""Proofs by counting: ``make prove WHAT=name [CASES=n] [SEED=s]``.

Each proof tries many cases against the real parts and counts violations. The last line it prints is one JSON document
``{"what", "cases", "violations", "seconds", "seed"}``; the exit status is 1 where anything was violated.
"""
