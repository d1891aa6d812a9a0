"""Models (``.vxm``): trained, saved, found again, described."""
