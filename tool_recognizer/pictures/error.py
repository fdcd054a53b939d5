"""Why a picture cannot be used."""

# Of one picture, unless a caller sets another limit.
MAX_PIXELS = 50_000_000
# Of a decoded picture, for each pixel of the limit: no more than 8 bits and four channels.
BYTES_PER_PIXEL = 4


class PictureError(ValueError):
    """
    A picture that cannot be used, and why.

    Attributes
    ----------
    reason : name of the drop counter: 'empty', 'corrupt' (cut off, damaged, or no picture at all),
        'too_large' or 'encoding' (whole, but of a kind that is not read)

    """

    def __init__(self, message: str, reason: str = 'corrupt') -> None:
        super().__init__(message)
        self.reason = reason


def check_size(kind: str, height: int, width: int, pixel: int, limit: int) -> None:
    """
    Refuse a picture by the size that its header claims.

    Parameters
    ----------
    kind : of the picture, for the message
    height, width : pixels
    pixel : bytes of a decoded pixel
    limit : pixels, at most

    Raises
    ------
    PictureError
        It has no pixels, or more than the limit, or would take more memory than that many pixels
        of 8 bits and four channels.

    """
    if height < 1 or width < 1:
        raise PictureError(f'the {kind} is damaged: it claims {width} x {height} pixels')
    if height * width > limit:
        raise PictureError(f'the {kind} claims {width} x {height} pixels, the limit is {limit}',
                           'too_large')
    if height * width * pixel > limit * BYTES_PER_PIXEL:
        raise PictureError(f'the {kind} claims {width} x {height} pixels of {pixel} bytes, the '
                           f'limit is {limit * BYTES_PER_PIXEL} bytes', 'too_large')
