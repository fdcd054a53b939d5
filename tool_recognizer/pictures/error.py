"""Why a picture cannot be used."""


class PictureError(ValueError):
    """
    A picture that cannot be used, and why.

    Attributes
    ----------
    reason : name of the drop counter: 'empty', 'corrupt' (cut off, damaged, or no picture at all)
        or 'encoding' (whole, but of a kind that is not read)

    """

    def __init__(self, message: str, reason: str = 'corrupt') -> None:
        super().__init__(message)
        self.reason = reason
