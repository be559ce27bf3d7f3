"""What the factories of flows over images share."""

from __future__ import annotations


def scales_of(event_shape: tuple[int, int, int], scales: int | None, squeezes_last: bool = False) -> int:
    """The number of scales that was asked for, or by default: halved until a side is at most 4 or odd.

    Args:
      event_shape: of the images.
      scales: what was asked for.
      squeezes_last: whether the last scale is squeezed, too.
    """
    height, width, _ = event_shape
    if scales is None:
        scales = 1
        while height % 2 == width % 2 == 0 and min(height, width) > 4:
            height, width, scales = height // 2, width // 2, scales + 1
        scales = max(scales - squeezes_last, 1)
    if scales < 1:
        raise ValueError(f"expected at least one scale, got {scales}")
    squeezes = scales - 1 + squeezes_last
    factor = 2**squeezes
    if event_shape[0] % factor or event_shape[1] % factor:
        raise ValueError(
            f"expected an even height and width at each of {squeezes} squeezes, that is multiples of {factor}, "
            f"got {event_shape}"
        )
    return scales
