"""Run this experiment; ``--help`` lists the options."""

from pathlib import Path

from pipelines.experiments.command import main

if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).parent))
