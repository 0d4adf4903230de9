"""The errors a user can mend."""


class BadInput(ValueError):
    """Input the user can mend: one line that names the file, the field and the mend. The CLI exits with 2."""


class LostProcess(RuntimeError):
    """Another process of a distributed training is gone; the same command continues from the last checkpoint."""
