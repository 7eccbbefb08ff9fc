"""Run the command line: ``python -m semart_vectors``."""

from semart_vectors.cli import main

if __name__ == "__main__":
    main()
