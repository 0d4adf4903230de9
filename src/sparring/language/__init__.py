"""What the text systems share: models that PyPI packages ship, and writers (language models) that propose text."""

from sparring.language.packaged import minilm, smollm
from sparring.language.writers import Endpoint, LocalWriter, Spent, Writer, writer

__all__ = ["Endpoint", "LocalWriter", "Spent", "Writer", "minilm", "smollm", "writer"]
