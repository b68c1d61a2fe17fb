"""``python -m bamboo_logmetrics`` runs the command ``bamboo-logmetrics``."""

from __future__ import annotations

from bamboo_logmetrics.cli import main

if __name__ == "__main__":
    main()
