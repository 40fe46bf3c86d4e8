"""One file format a module; other units and axes exist only here."""
