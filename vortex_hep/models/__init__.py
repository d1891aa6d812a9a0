"""Models (``.vxm``): trained on files, saved, found again, described."""
