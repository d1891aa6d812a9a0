"""Les Houches events: the blocks ``<event>`` of their text as rows, and back."""
