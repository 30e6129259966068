"""Print what a saved Keras model weighs, layer by layer, beside its dense counterpart.

python applications/summarize.py --model sparse.keras --csv layers.csv --picture layers.png
"""

from _program import door

if __name__ == "__main__":
    door("summarize")
