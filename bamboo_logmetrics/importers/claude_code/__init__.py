"""Claude Code: its transcripts as events."""
