"""Archives in coffea: NanoEvents and the Runner."""
