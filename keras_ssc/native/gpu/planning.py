"""The plan of a pass: the one that was measured as the fastest, or that should take least time."""

from keras_ssc.native.gpu import costs


def plan(
    kind,
    places,
    reads,
    batch,
    itemsize,
    max_shared,
    numbers=None,
    multiprocessors=costs.MULTIPROCESSORS,
):
    """Return a plan of `kind`, or None where none fits.

    Args:
        kind: the module `convolution_plan` (forward and gradient by the input) or `gradient_plan`
            (gradient by the weights).
        places: int array (taps, inputs, outputs) of this pass, from `order.weight_places`.
        reads: `reads.Reads`; of a gradient by the weights those of the forward pass.
        batch: int, images.
        itemsize: int, bytes of a value: 2 (bfloat16) or 4 (float32).
        max_shared: int, bytes of shared memory that a block may have.
        numbers: dict, `kind.numbers_of` the Choice that was measured as the fastest, or None.
        multiprocessors: int, of the GPU.
    """
    best = numbers and kind.measured_choice(numbers, places, reads, itemsize, max_shared)
    if not best:
        choices = kind.all_choices(places, reads, batch, itemsize, max_shared, multiprocessors)
        best = min(choices, key=lambda choice: choice.cost, default=None)
    return best and kind.made(best, places, reads, batch, itemsize)
