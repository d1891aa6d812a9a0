"""Weights files: safetensors and torch files, compressed without loss (``.vxw``)."""
