"""`python -m keras_ssc`: the same as the command `keras-ssc`."""

from keras_ssc.cli import main

if __name__ == "__main__":
    main()
