"""Elasticsearch and OpenSearch: the setup that they need before the first line arrives."""
