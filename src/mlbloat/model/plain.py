"""Text from images is written by strangers: names and messages may carry what a terminal obeys."""


def plain(text: str) -> str:
    """Escape everything that is not printable, line ends too: one line, nothing that a terminal obeys."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
