"""What is known of tensors while JAX traces a program, for as long as each of them lives."""

import weakref


class Known:
    """Facts about JAX's tracers, kept by weak references.

    A tracer that is closed over, handed on or gone is another matter: only the very object is
    found, so whoever finds nothing computes as if there were no such table.
    """

    def __init__(self):
        self._facts = {}  # id of a tensor -> (weak reference to it, the fact)

    def __len__(self):
        return len(self._facts)

    def remember(self, tensor, fact):
        """Remember a fact of a tracer; of a tensor that is no tracer nothing is remembered."""
        import jax

        if isinstance(tensor, jax.core.Tracer):
            key, facts = id(tensor), self._facts  # the name is gone when Python ends
            facts[key] = (weakref.ref(tensor, lambda _: facts.pop(key, None)), fact)

    def find(self, tensor):
        """Return the fact of this very tensor, or None."""
        reference, fact = self._facts.get(id(tensor), (None, None))
        return fact if reference is not None and reference() is tensor else None
