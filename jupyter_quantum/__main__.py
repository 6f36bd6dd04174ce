"""``python -m jupyter_quantum``: the command line where no script is on the path."""

from jupyter_quantum.cli import main

if __name__ == "__main__":
    main()
