"""Weights of networks as files: safetensors, and checkpoints compressed without loss (``.vxw``)."""
