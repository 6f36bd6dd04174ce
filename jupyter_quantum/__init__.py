"""A governed door from a notebook to quantum hardware. In a notebook: ``from jupyter_quantum import Hub, promote``."""
