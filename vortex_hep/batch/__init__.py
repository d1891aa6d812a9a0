"""Jobs over lists of files: what is to be done, what became of it, and the workers that do it.

A *job* is one command (compress, verify, restore) over a list of files, with one journal. The
process that the user started, the *driver*, alone writes the journal; *workers* do the work.
"""
