"""SSCConv2D: stands where Conv2D stood."""

from collections.abc import Callable

import keras

from keras_ssc.arguments import boolean, integer, one_of, pair
from keras_ssc.execution import EXECUTIONS, choose, convolve, execution_report, expand_kernel
from keras_ssc.initializers import live_initializer
from keras_ssc.layers import arguments as check
from keras_ssc.layers import images
from keras_ssc.layers.whole_kernel import matrix_regularizer
from keras_ssc.native.channel_order import before_padding, order_of
from keras_ssc.patterns import PARITIES, SHIFTS, SSCPattern
from keras_ssc.sparsity import UnreachableSparsity, choose_pattern


@keras.saving.register_keras_serializable(package="keras_ssc")
class SSCConv2D(keras.layers.Layer):
    """2D convolution with structured sparse kernels (Structured Sparse Convolution).

    Filter n reads the channels `(r + s(n)) mod M` of a short base list of positions: KxK kernels
    (odd or even taps) on every g-th input channel, 1x1 kernels on every p-th of the others:

        y[pixel, n] = activation(sum_i x[pixel + tap_i, (r_i + s(n)) mod M] * w[i, n] + bias[n])

    Only the live weights `w` exist: as variables, in the optimizer, and in every file.

    Args:
        filters: int, N, the number of filters.
        kernel_size, strides: int or pair of ints.
        padding: `"valid"` or `"same"`, as in Conv2D.
        data_format: `"channels_last"`, `"channels_first"` or None (Keras's setting).
        dilation_rate: int or pair of ints; not together with strides > 1.
        activation: activation function or its name.
        use_bias: bool.
        kernel_initializer: called on the dense shape (K, K, M, N), of which the live entries are
            kept; a VarianceScaling initializer is divided by sqrt(density), its true fan. Wrap it
            in `keras_ssc.initializers.DenseScale` to keep the dense scale.
        bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint: as in Conv2D. Regularizer and constraint of the
            kernel see the live weights as matrices (positions, filters), one for each parity;
            those of `keras_ssc.regularizers` see the dense kernel.
        g: int. Every g-th channel carries a KxK kernel; 0: none. Goes with `p`.
        p: int. Every p-th other channel carries a 1x1 kernel; 0: none. Goes with `g`.
        sparsity: float in (0, 1), in place of g and p: they are then chosen at build for the
            layer's own M and N (`keras_ssc.choose_pattern`) and kept in the config. None of the
            three given means 0.9.
        shift: `"cyclic"` or `"block"`, see `SSCPattern`.
        parity: `"halves"` or `"alternate"`, see `SSCPattern`.
        dense_taps: bool, full KxK kernels in place of odd and even ones.
        set_offset: int, extra shift from one set of filters to the next.
        execution: `"auto"`, `"dense"`, `"grouped"`, `"gather"` or `"native"`: how to compute, with
            equal results. A form that can't serve gives way; `execution_report` says why.
        **kwargs: name, dtype, trainable.

    Input shape:
        (batch, height, width, M), or (batch, M, height, width) for channels_first.

    Output shape:
        (batch, new height, new width, N), or (batch, N, new height, new width).

    Raises:
        ValueError, TypeError: an argument is outside its range or of the wrong type; the message
            names it. Ranges that depend on M are checked at build.

    Example:

    >>> import numpy as np
    >>> layer = SSCConv2D(64, 3, padding="same", g=8, p=3)
    >>> layer(np.zeros((2, 8, 8, 64), "float32")).shape == (2, 8, 8, 64)
    True
    >>> layer.count_params(), layer.pattern.sparsity
    (3520, 0.90625)

    Reference: Verma et al., "Pushing the Efficiency Limit Using Structured Sparse
    Convolutions", section 2.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        activation: str | Callable | None = None,
        use_bias: bool = True,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        bias_regularizer: str | keras.regularizers.Regularizer | None = None,
        activity_regularizer: str | keras.regularizers.Regularizer | None = None,
        kernel_constraint: str | keras.constraints.Constraint | None = None,
        bias_constraint: str | keras.constraints.Constraint | None = None,
        g: int | None = None,
        p: int | None = None,
        sparsity: float | None = None,
        shift: str = "cyclic",
        parity: str = "halves",
        dense_taps: bool = False,
        set_offset: int = 0,
        execution: str = "auto",
        **kwargs,
    ):
        activity_regularizer = check.regularizer("activity_regularizer", activity_regularizer)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        one_of("dtype", self.compute_dtype, check.FLOATS)
        self.filters = integer("filters", filters, 1)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.strides = pair("strides", strides)
        self.padding = one_of("padding", padding, ("valid", "same"))
        self.data_format = check.data_format(data_format)
        self.dilation_rate = pair("dilation_rate", dilation_rate)
        images.geometry(self.kernel_size, self.strides, self.dilation_rate)
        self.activation = check.activation("activation", activation)
        self.use_bias = boolean("use_bias", use_bias)
        self.kernel_initializer = check.initializer("kernel_initializer", kernel_initializer)
        self.bias_initializer = check.initializer("bias_initializer", bias_initializer)
        self.kernel_regularizer = check.regularizer("kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = check.regularizer("bias_regularizer", bias_regularizer)
        self.kernel_constraint = check.constraint("kernel_constraint", kernel_constraint)
        self.bias_constraint = check.constraint("bias_constraint", bias_constraint)
        self.g, self.p, self.sparsity = check.pattern_choice(g, p, sparsity)
        self.shift = one_of("shift", shift, SHIFTS)
        self.parity = one_of("parity", parity, PARITIES)
        self.dense_taps = boolean("dense_taps", dense_taps)
        self.set_offset = integer("set_offset", set_offset, 0)
        self.execution = one_of("execution", execution, EXECUTIONS)
        self._pattern = None
        self._matrices = []
        self.bias = None
        # The rules that do not depend on M, at the door: try them on the fewest channels for g, p.
        g, p = (0, 1) if self.g is None else (self.g, self.p)
        SSCPattern(max(g, 2 * p, 1), self.filters, self.kernel_size, g, p, **self._rules)

    @property
    def _rules(self):
        return {
            "shift": self.shift,
            "parity": self.parity,
            "dense_taps": self.dense_taps,
            "set_offset": self.set_offset,
        }

    def _make_pattern(self, in_channels):
        shape = (in_channels, self.filters, self.kernel_size)
        if self.sparsity is None:
            return SSCPattern(*shape, self.g, self.p, **self._rules)
        return choose_pattern(*shape, sparsity=self.sparsity, **self._rules)

    def build(self, input_shape):
        """Choose the pattern for the input's channels and create the variables."""
        axis = self._channel_axis
        input_shape = images.image_shape(self.name, input_shape, axis)
        in_channels = input_shape[axis]
        try:
            self._pattern = self._make_pattern(in_channels)
        except UnreachableSparsity as error:
            raise UnreachableSparsity(f"Layer `{self.name}`: {error}", error.nearest) from None
        except ValueError as error:
            raise ValueError(f"Layer `{self.name}`: {error}") from None
        self.compute_output_shape(input_shape)
        for name, positions, filters in self._pattern.matrices:
            own = live_initializer(self.kernel_initializer, self._pattern, positions, filters)
            matrix = self.add_weight(
                name=name,
                shape=(len(positions), len(filters)),
                initializer=own,
                regularizer=matrix_regularizer(self, is_first=not self._matrices),
                constraint=self.kernel_constraint,
            )
            self._matrices.append(matrix)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: in_channels})
        self.built = True

    @property
    def _channel_axis(self):
        return -1 if self.data_format == "channels_last" else 1

    @property
    def pattern(self) -> SSCPattern:
        """The `SSCPattern` of the layer; it exists once the layer is built."""
        if self._pattern is None:
            raise AttributeError(f"Layer `{self.name}` has no pattern yet: build it first.")
        return self._pattern

    @property
    def kernel(self):
        """The dense kernel (K, K, M, N), expanded from the live weights."""
        pattern = self.pattern
        return expand_kernel([matrix.value for matrix in self._matrices], pattern)

    def call(self, inputs, residual=None):
        """Convolve `inputs`; add `residual`, shaped like the output, before the activation."""
        x = images.as_tensor(inputs, self.compute_dtype)
        images.residual_shape(residual, self.compute_output_shape(tuple(x.shape)))
        if self.data_format == "channels_first":
            x = keras.ops.transpose(x, (0, 2, 3, 1))
            residual = None if residual is None else keras.ops.transpose(residual, (0, 2, 3, 1))
        read, *_ = before_padding(x) or (x,)  # what a GPU's kernel reads, and was measured on
        settings = self._settings(read.shape[1:3]) | {"in_order": order_of(x) is not None}
        form, _ = choose(self.execution, self.pattern, **settings)
        relu = self.activation is keras.activations.relu
        y = convolve(
            x,
            [keras.ops.convert_to_tensor(matrix) for matrix in self._matrices],
            self.pattern,
            form,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            bias=keras.ops.convert_to_tensor(self.bias) if self.use_bias else None,
            residual=residual,
            relu=relu,
        )
        if self.data_format == "channels_first":
            y = keras.ops.transpose(y, (0, 3, 1, 2))
        return y if relu or self.activation is None else self.activation(y)

    def _settings(self, sizes):
        return {
            "strides": self.strides,
            "padding": self.padding,
            "sizes": sizes,
            "dtype": self.compute_dtype,
        }

    def execution_report(self, input_size: tuple[int | None, int | None] = (None, None)) -> dict:
        """Say how the layer computes and why, and how fast that is beside a dense layer.

        Args:
            input_size: (height, width) of the input; None where unknown.

        Returns:
            dict with `"asked"`, `"used"`, `"why"`; `"why_not_native"`, None where the native
            kernels can serve; `"inference_speed"` and `"training_speed"`, the time of a Conv2D of
            this size / that of the layer on one core, None where unknown; `"speed_source"`:
            `"measured"`, `"estimate"` or `"unknown"`; and `"speed_basis"`, what was measured where.
        """
        settings = self._settings(tuple(input_size))
        return execution_report(self.execution, self.pattern, **settings)

    def compute_output_shape(self, input_shape):
        """Return the output shape, None where the input's is None."""
        input_shape = images.image_shape(self.name, input_shape)
        first = 1 if self.data_format == "channels_last" else 2
        sizes = [
            images.output_size(input_shape, first + axis, *geometry, self.padding)
            for axis, geometry in enumerate(
                zip(self.kernel_size, self.strides, self.dilation_rate, strict=True)
            )
        ]
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, self.filters)
        return (input_shape[0], self.filters, *sizes)

    def quantize(self, mode=None, **kwargs):
        """Refuse, as Keras's convolutions do: `keras_ssc.export` writes files in 8 bits."""
        call = 'keras_ssc.export(model, path, "litert", quantize="int8", calibration=images)'
        raise NotImplementedError(f"{self.name!r} (SSCConv2D) stays in float: use {call}")

    def get_config(self):
        """Return the arguments; once built, with the resolved g and p in place of `sparsity`."""
        resolved = self._pattern is not None
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "g": self._pattern.g if resolved else self.g,
            "p": self._pattern.p if resolved else self.p,
            "sparsity": None if resolved else self.sparsity,
            "shift": self.shift,
            "parity": self.parity,
            "dense_taps": self.dense_taps,
            "set_offset": self.set_offset,
            "execution": self.execution,
        }
        return {**super().get_config(), **config}
