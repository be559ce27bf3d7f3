"""Why images cannot be used. Apart from their readers, which import Pillow."""


class BadImageError(ValueError):
    """Images that cannot be used for training; the message names the file and the reason."""


class UnusableFileError(ValueError):
    """A file to leave out of a folder of images; the message is the reason."""
