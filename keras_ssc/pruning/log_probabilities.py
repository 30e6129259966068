"""A classifier's outputs as log-probabilities."""

from keras import ops


def log_probabilities(outputs, from_logits, temperature=1.0):
    """Return log softmax(logits / temperature), whether outputs are logits or probabilities.

    Args:
        outputs: tensor (images, classes).
        from_logits: bool, whether they are logits; False: probabilities of a softmax.
        temperature: float > 0.

    Example:

    >>> found = log_probabilities(np.array([[0.5, 0.5]], "float32"), from_logits=False)
    >>> [round(float(value), 3) for value in found[0]]
    [-0.693, -0.693]
    """
    if not from_logits:
        # log(softmax(z)) is z minus one number for each image, which softmax takes away again.
        outputs = ops.log(ops.maximum(outputs, 1e-30))
    return ops.log_softmax(outputs / temperature, axis=-1)
