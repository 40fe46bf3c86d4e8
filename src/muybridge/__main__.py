"""`python -m muybridge` is the command `muybridge`."""

from muybridge.cli.main import main

if __name__ == "__main__":
    main()
