"""`python -m muybridge` is the command `muybridge`."""

from muybridge.cli.main import main

main()
