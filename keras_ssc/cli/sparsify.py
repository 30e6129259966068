"""Make the convolutions of a saved Keras model sparse, and save the new model."""

import os


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add("--model", required=True, help="the dense model, a .keras file")
    add("--output", help="where to write the sparse model, a .keras file; without it: only look")
    add("--sparsity", type=float, default=0.9, help="of the converted layers together; 0.9")
    add("--keep", nargs="+", metavar="LAYER", help="stay dense; first convolution and classifier")
    add("--from-dense", action="store_true", help="start at the weights of the dense kernels")
    add("--dense", action="store_true", help="convert Dense layers on maps too")
    add("--pattern-for", choices=["cpu", "gpu"], default="cpu", help="whose kernels are to be fast")
    add("--execution", default="auto", help="how the sparse layers compute")
    add("--overwrite", action="store_true", help="replace the file at --output")


def run(arguments):
    """Convert, save, and print what was done."""
    from keras_ssc.atomic_write import check_new_file, new_file
    from keras_ssc.convert import conversion_plan, sparsify
    from keras_ssc.model_file import read_model

    chosen = {
        "keep": arguments.keep,
        "dense": arguments.dense,
        "pattern_for": arguments.pattern_for,
    }
    if arguments.output:
        check_new_file(arguments.output, ".keras", arguments.overwrite)
    model = read_model(arguments.model)
    print(conversion_plan(model, arguments.sparsity, **chosen))
    if not arguments.output:
        return
    sparse = sparsify(
        model,
        arguments.sparsity,
        from_dense=arguments.from_dense,
        execution=arguments.execution,
        **chosen,
    )
    with new_file(arguments.output, ".keras", arguments.overwrite) as temporary:
        sparse.save(temporary)
    sizes = [f"{os.path.getsize(path):,}" for path in (arguments.output, arguments.model)]
    print(f"\n{arguments.output}: {sizes[0]} bytes; {arguments.model}: {sizes[1]} bytes")
