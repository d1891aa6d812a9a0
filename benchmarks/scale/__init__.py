"""Scaling of jobs: a model of time and cost, a simulation of it, and the constants of both."""
