"""Codex CLI: its rollouts as events."""
