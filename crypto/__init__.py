"""The ground: identities, epochs, sealing, commitments. Knows no session and no bucket."""
