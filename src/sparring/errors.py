"""The error a user can mend."""


class BadInput(ValueError):
    """Input the user can mend: one line that names the file, the field and the mend. The CLI exits with 2."""
