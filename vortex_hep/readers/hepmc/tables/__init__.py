"""Events of HepMC text as tables of columns, and back."""
