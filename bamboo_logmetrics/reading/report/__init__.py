"""The report page: one self-contained HTML file with the figures of logs, made to be opened offline."""
