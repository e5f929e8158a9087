"""How many columns a report on a terminal takes."""

WIDTH = 110
"""Where there is no terminal: a file, a pipe, the log of a CI."""
NARROW, WIDEST = 72, 140
"""A terminal is taken for no narrower and no wider than this."""
