"""What people and scripts see: tables, transcripts, JSON."""
