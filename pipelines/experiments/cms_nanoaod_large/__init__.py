"""An experiment: see ``README.md`` and ``experiment.toml`` beside this file."""
