"""What a researcher imports: Hub, backend, primitives, session, jobs, reports.

It speaks the service's HTTP API and knows no rule itself: every limit, price and refusal comes from the service. The
names meant for notebooks are re-exported, lazily, by :mod:`jupyter_quantum`.
"""
