"""Where workers come from: this machine, HTCondor, Slurm, lxplus."""
