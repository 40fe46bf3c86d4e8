"""muybridge: from cameras, to motion, to language."""

__version__ = "0.1.0"
