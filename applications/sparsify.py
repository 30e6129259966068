"""Make the convolutions of a saved Keras model sparse, and save the new model.

python applications/sparsify.py --model dense.keras --output sparse.keras --sparsity 0.9
"""

from _program import door

if __name__ == "__main__":
    door("sparsify")
