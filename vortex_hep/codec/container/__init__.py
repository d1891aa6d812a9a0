"""The container of archives and models: chunks, index, checksums (docs/SPEC.md, section 2)."""
