"""Monitoring rendered from the plan: Prometheus rules, queries and scrape configuration."""
