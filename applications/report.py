"""Make the page of results, with its plots, from the records of finished runs.

python applications/report.py --records docs/evidence/records --output docs/evidence
"""

import argparse
import os
from pathlib import Path

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    """Write README.md and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", default="docs/evidence/records")
    parser.add_argument("--output", default="docs/evidence", help="folder of the page")
    parser.add_argument("--protocol", choices=["paper", "small"], default="small")
    parser.add_argument("--empty", action="store_true", help="write the page though nothing ran")
    arguments = parser.parse_args()
    from paper import Records
    from paper.page import write_page

    try:
        path = write_page(
            Records(arguments.records),
            Path(arguments.output),
            arguments.protocol,
            empty=arguments.empty,
        )
    except (OSError, ValueError) as error:
        stop(error)
    print(f"written: {path}")


if __name__ == "__main__":
    run(main)
