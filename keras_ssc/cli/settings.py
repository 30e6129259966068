"""Tell which g and p a sparsity gives: of one layer, of a network here, or of a saved model."""

from pathlib import Path

from keras_ssc.tables import text_table


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--layer", type=int, nargs=2, metavar=("CHANNELS", "FILTERS"))
    what.add_argument("--model", help="a builder of keras_ssc.applications, or a .keras file")
    add("--sparsity", type=float, nargs="+", default=[0.9], help="one or several; 0.9")
    add("--kernel-size", type=int, nargs="+", default=[3], help="of --layer; 3")
    add("--input-shape", type=int, nargs=3, default=[32, 32, 3], help="of a builder; 32 32 3")
    add("--classes", type=int, default=10, help="of a builder; 10")
    add("--distribution", default="auto", help="of a builder: auto, uniform or per_filter")


def run(arguments):
    """Print one table for each sparsity; one line for each of a layer."""
    if arguments.layer:
        return _layer(arguments)
    for sparsity in arguments.sparsity:
        print(_model(arguments, sparsity))
    return 0


def _layer(arguments):
    from keras_ssc.sparsity import choose_pattern

    kernel_size = arguments.kernel_size
    kernel_size = kernel_size[0] if len(kernel_size) == 1 else tuple(kernel_size)
    lines = []
    for sparsity in arguments.sparsity:
        pattern = choose_pattern(*arguments.layer, kernel_size, sparsity=sparsity)
        live = f"{pattern.weight_count:,} of {pattern.dense_weight_count:,}"
        lines.append((f"{sparsity:g}", str(pattern.g), str(pattern.p),
                      f"{pattern.sparsity:.4f}", live))  # fmt: skip
    print(text_table(("asked", "g", "p", "sparsity", "weights"), lines, left=()))
    return 0


def _model(arguments, sparsity):
    """The table of one sparsity."""
    from keras_ssc import applications
    from keras_ssc._summary import summary
    from keras_ssc.arguments import known
    from keras_ssc.convert import conversion_plan
    from keras_ssc.model_file import read_model

    if Path(arguments.model).suffix == ".keras":
        return conversion_plan(read_model(arguments.model, compile=False), sparsity)
    known("model", arguments.model, applications.__all__)
    model = getattr(applications, arguments.model)(
        input_shape=tuple(arguments.input_shape),
        classes=arguments.classes,
        sparsity=sparsity,
        distribution=arguments.distribution,
    )
    return summary(model)
