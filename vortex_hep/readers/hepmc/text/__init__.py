"""Lines of HepMC text: numbers, tokens, particles and vertices, to the byte."""
