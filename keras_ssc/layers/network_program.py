"""A graph of layers for inference as a list of integers, which the native library computes.

The numbers of the kinds of steps, and what follows each, are those of `source/network.h` and
`source/network_program.cc`.
"""

from dataclasses import dataclass, field

from keras_ssc.native.fusion import PATTERN_ATTRIBUTES

CONVOLUTION, MAX_POOL, AVERAGE_POOL, MEAN, CHANNELS, ZEROS, SUM, FLAT = range(8)
NO_ZEROS = (0, 0, 0, 0)  # above, below, left, right


@dataclass
class Step:
    """One step, which makes one array of others.

    Args:
        kind: int.
        inputs: list of ints, numbers of arrays.
        more: list of ints, what the kind asks for.
        relu: bool, whether negative results become zero.
        ceiling: int, what larger results become; 0: they stay.
    """

    kind: int
    inputs: list
    more: list = field(default_factory=list)
    relu: bool = False
    ceiling: int = 0

    def integers(self):
        """Return the step as the library reads it."""
        return [
            self.kind,
            len(self.inputs),
            *self.inputs,
            int(self.relu),
            self.ceiling,
            *self.more,
        ]


@dataclass(frozen=True)
class Value:
    """What a tensor of the graph is: channels of arrays, with zeros around the image.

    Args:
        channels: tuple of (array, channel).
        zeros: rows above and below, columns on the left and right.
        alone: bool, whether nobody else reads these channels.
    """

    channels: tuple
    zeros: tuple = NO_ZEROS
    alone: bool = False


class NetworkProgram:
    """The steps of a graph.

    Args:
        inputs: list of symbolic tensors (batch, height, width, channels).
        outputs: list of symbolic tensors.
        calls: list of `model_graph.Call`, the layers between, in order.
        append: function (program, call, values of its inputs) -> value, or list of values.
        bfloat16: bool, whether convolutions may multiply numbers rounded to bfloat16.
    """

    def __init__(self, inputs, outputs, calls, append, bfloat16=False):
        self.weights = []  # variables, in order of use
        self._steps = []
        self._inputs = len(inputs)
        self._sizes = [x.shape[-1] for x in inputs]  # channels of each array
        self._readers = {}
        for x in [*outputs, *(x for call in calls for x in call.inputs)]:
            self._readers[id(x)] = self._readers.get(id(x), 0) + 1
        self._values = {id(x): self._whole(number) for number, x in enumerate(inputs)}
        for call in calls:
            values = [self._values[id(x)] for x in call.inputs]
            made = append(self, call, values)
            made = made if isinstance(made, list) else [made]
            for x, value in zip(call.outputs, made, strict=True):
                alone = value.alone and self._readers.get(id(x), 0) == 1
                self._values[id(x)] = Value(value.channels, value.zeros, alone)
        numbers = []
        for x in outputs:
            numbers.append(self._array_for_output(self._values[id(x)], numbers))
        ends = [
            n for x, one in zip(outputs, numbers, strict=True) for n in (one, len(x.shape) == 2)
        ]
        steps = [number for step in self._steps for number in step.integers()]
        head = [bfloat16, self._inputs, len(self._steps)]
        self.integers = [int(n) for n in (*head, *steps, len(outputs), *ends)]

    def _whole(self, number):
        return Value(tuple((number, c) for c in range(self._sizes[number])), alone=True)

    def _add(self, kind, inputs, channels, *more):
        """Append a step; return what it makes."""
        self._steps.append(Step(kind, inputs, list(more)))
        self._sizes.append(channels)
        return self._whole(len(self._sizes) - 1)

    def _array(self, value):
        """Return the number of the array that holds a value, which is made where there is none."""
        number = self._array_behind(value)
        if number is None:
            arrays = sorted({array for array, _ in value.channels})
            pairs = [n for array, channel in value.channels for n in (arrays.index(array), channel)]
            count = len(value.channels)
            number = self._array(self._add(CHANNELS, arrays, count, count, *pairs))
        if value.zeros == NO_ZEROS:
            return number
        return self._array(self._add(ZEROS, [number], len(value.channels), *value.zeros))

    def _array_for_output(self, value, others):
        """As `_array`, a copy where that is an input, or one of the outputs already."""
        number = self._array(value)
        if number >= self._inputs and number not in others:
            return number
        return self._array(self._add(SUM, [number], self._sizes[number]))

    def without_zeros(self, value):
        """Return a value whose zeros are part of its arrays."""
        return value if value.zeros == NO_ZEROS else self._whole(self._array(value))

    def _array_behind(self, value):
        """The number of the array that is the value but for zeros around, or None."""
        number = value.channels[0][0]
        return number if value.channels == self._whole(number).channels else None

    def _step_behind(self, value):
        """The last step of a value that nobody else reads, if it may do more; else None."""
        number = self._array_behind(value)
        if not value.alone or value.zeros != NO_ZEROS or number is None or number < self._inputs:
            return None
        step = self._steps[number - self._inputs]
        return step if step.kind in (CONVOLUTION, SUM) and not step.relu else None

    def convolution(self, x, residual, attributes, same, weights, bias):
        """Append a convolution.

        Args:
            x: Value.
            residual: Value to add, or None.
            attributes: dict, as of `native.convolution.attributes_of`.
            same: bool, the padding, besides the zeros that `x` has.
            weights: list of variables, the matrices.
            bias: variable, or None.
        """
        lists = [
            n for name in PATTERN_ATTRIBUTES for n in (len(attributes[name]), *attributes[name])
        ]
        self.weights += [*weights, *([] if bias is None else [bias])]
        inputs = [self._array(Value(x.channels))]
        if residual is not None:
            inputs.append(self._array(residual))
        more = [*x.zeros, same, bias is not None, *lists]
        return self._add(CONVOLUTION, inputs, len(attributes["shifts"]), *more)

    def relu(self, x, ceiling):
        """Cut a value at zero and at a ceiling, in the step that makes it where that may be.

        Args:
            x: Value.
            ceiling: int; 0: none.
        """
        step = self._step_behind(x)
        if step is None:
            x = self._add(SUM, [self._array(x)], len(x.channels))
            step = self._steps[-1]
        step.relu, step.ceiling = True, ceiling
        return x

    def sum(self, values):
        """Add values, the last one in the convolution that makes it where that may be."""
        first, *others = values
        for other in others:
            first = self._sum(first, other)
        return first

    def _sum(self, one, other):
        for made, more in ((one, other), (other, one)):
            step, number = self._step_behind(made), self._array_behind(more)
            earlier = number is not None and number < self._array_behind(made) if step else False
            if earlier and len(step.inputs) == 1 and more.zeros == NO_ZEROS:
                step.inputs.append(number)
                return made
        return self._add(SUM, [self._array(one), self._array(other)], len(one.channels))

    def pool(self, kind, x, window, strides, same):
        """Append a pooling of the kind `MAX_POOL` or `AVERAGE_POOL`."""
        array = self._array(Value(x.channels))
        return self._add(kind, [array], len(x.channels), *x.zeros, *window, *strides, same)

    def mean(self, x):
        """Append the mean over all pixels."""
        return self._add(MEAN, [self._array(x)], len(x.channels))

    def flat(self, x, channels):
        """Make one pixel of all, of so many channels."""
        return self._add(FLAT, [self._array(x)], channels)
