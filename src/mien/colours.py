"""The colour of each class: the same in every figure, picture and video, and told apart by colour-blind readers."""

# Okabe and Ito's colours (jfly.uni-koeln.de/color), gray for black, in an order that suits the seven expressions.
_PALETTE = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#808080", "#0072B2", "#56B4E9", "#F0E442")
_SHADES = (0.0, -0.4, 0.45, -0.65)  # towards black (-1) or white (1), one a round of the palette


def class_colour(index: int) -> str:
    """The colour of the class at `index` of a model's classes, as `#rrggbb`."""
    rounds, base = divmod(index, len(_PALETTE))
    shade = _SHADES[rounds % len(_SHADES)]
    end = 255 if shade > 0 else 0
    parts = bytes.fromhex(_PALETTE[base][1:])
    return "#" + bytes(round(part + (end - part) * abs(shade)) for part in parts).hex()
