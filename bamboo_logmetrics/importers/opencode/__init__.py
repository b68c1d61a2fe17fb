"""Sessions of OpenCode, from its database or from the JSON files of older versions."""
