"""What files of other languages lead to: Perl, Ruby, R and more, each a row of one table.

No file is run, and no language is parsed. In a text, what is written like the name of a module counts where the image
has a module of that name; and a module brings what is installed with it, because what its code puts together, or its
compiled form hides, is most often its own.
"""

from mlbloat.usage.languages.reader import LanguageReader

__all__ = ["LanguageReader"]
