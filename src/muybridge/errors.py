"""The one exception that a user's mistake may raise; it lies below every room."""


class InputError(ValueError):
    """The user's input cannot be used.

    The message is one sentence: what was expected, what came, what to do. The command line prints
    it without a traceback and exits with code 2. Broken invariants of our own are assertions.
    """
