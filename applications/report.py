"""Make the page of results, with its plots, from the records of finished runs.

python applications/report.py --records docs/evidence/records --output docs/evidence
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    """Write README.md and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", default="docs/evidence/records")
    parser.add_argument("--output", default="docs/evidence", help="folder of the page")
    parser.add_argument("--protocol", choices=["paper", "small"], default="small")
    arguments = parser.parse_args()
    from keras_ssc.experiments import Records
    from keras_ssc.experiments.page import write_page

    try:
        path = write_page(Records(arguments.records), Path(arguments.output), arguments.protocol)
    except (OSError, ValueError) as error:
        sys.exit(f"report: {error}")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
