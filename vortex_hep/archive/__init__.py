"""Archives (``.vxc``): compress, open, read, verify, restore."""
