"""What Python files lead to, decided from their text alone: nothing of the image is imported or executed."""

from mlbloat.usage.python.reader import PythonReader

__all__ = ["PythonReader"]
