"""Sites, where workers run: this machine, HTCondor, Slurm, lxplus."""
