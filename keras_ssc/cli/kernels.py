"""Say what computes sparse layers here: compile the native CPU kernels, or tell why not."""


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    parser.add_argument(
        "--compile", action="store_true", help="compile them now where they are not in the cache"
    )


def run(arguments):
    """Print where the kernels are, what would compile them and what keeps them away."""
    import keras

    from keras_ssc.native import why_not_native_operations
    from keras_ssc.native.build import find

    asked = arguments.compile or find().built
    why_not = why_not_native_operations() if asked else None  # this compiles
    found = find()
    print(f"backend          {keras.backend.backend()}")
    print(f"compiler         {found.compiler or 'none found (C++17: g++, c++ or clang++; or CXX)'}")
    print(f"instruction sets {', '.join(found.instruction_sets)}")
    print(f"cache            {found.folder}")
    print(f"library          {found.library or '-'}{'' if found.built else ' (not compiled yet)'}")
    if not asked:
        print("\nNot compiled yet: the first layer that computes does it, or --compile now.")
        return 0
    if why_not:
        print(f"\nNot native: {why_not}")
        return 1
    print("\nThe kernels are loaded: float32 layers compute with them where they run on the CPU.")
    return 0
