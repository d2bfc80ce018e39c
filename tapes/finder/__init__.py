"""The interactive finder of `tapes search -i`: a worker that answers, a screen that shows, and what the screen says."""
