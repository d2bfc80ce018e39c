"""What the log means and how it moves: fold, outbox, push, pull, providers."""
