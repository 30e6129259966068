"""Figure 1: the three kernels that a structured sparse convolution is made of."""

import numpy as np

from keras_ssc import plots
from keras_ssc.patterns import SSCPattern

TITLES = ("odd kernel", "even kernel", "pointwise kernel")


def kernel_masks(size=3):
    """Return the live taps of the odd, the even and the pointwise kernel: three bool arrays.

    Args:
        size: int, rows and columns.

    Example:

    >>> [int(mask.sum()) for mask in kernel_masks(3)]
    [4, 5, 1]

    Reference: equation 3 of the paper.
    """
    pattern = SSCPattern(2, 2, size, g=2, p=0)
    masks = [np.zeros((size, size), bool) for _ in TITLES]
    for mask, parity in zip(masks, (1, 0), strict=False):
        mask[tuple(pattern.taps(parity).T)] = True
    masks[2][pattern.centre_tap] = True
    return masks


def plot_kernels(path, size=3):
    """Draw figure 1: the odd, the even and the pointwise kernel, live taps coloured.

    Args:
        path: file or open binary file to write the picture to, as PNG.
        size: int, rows and columns of the kernels.

    Returns:
        The matplotlib `Figure`.

    Example:

        plot_kernels("figure1.png")
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 2.5), layout="constrained", facecolor="white")
    colours = (plots.ODD, plots.EVEN, plots.POINTWISE)
    axes = figure.subplots(1, len(TITLES))
    for axis, title, colour, mask in zip(axes, TITLES, colours, kernel_masks(size), strict=True):
        axis.pcolormesh(
            mask, cmap=ListedColormap([plots.DEAD, colour]), vmin=0, vmax=1, edgecolors="white",
            linewidth=3,
        )  # fmt: skip
        axis.set(title=f"{title}: {mask.sum()} of {mask.size} taps", aspect="equal")
        axis.title.set_fontsize(9)
        axis.invert_yaxis()
        axis.axis("off")
    figure.savefig(path, dpi=130, format="png")
    return figure
