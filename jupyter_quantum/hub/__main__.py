"""``python -m jupyter_quantum.hub``: run the service."""

from jupyter_quantum.hub.app import main

if __name__ == "__main__":
    main()
