"""Masking of secrets: in texts (``patterns``), in bound values (``values``) and in whole records (``flat``)."""
