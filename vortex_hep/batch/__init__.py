"""Jobs over lists of files: plan, journal, workers, report.

A *job* is one command (compress, verify, restore) over a list of files, with one journal. The
process that the user started, the *driver*, alone writes the journal; *workers* do the work.
"""
