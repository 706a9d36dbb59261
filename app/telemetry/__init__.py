"""Logs, metrics, and the redaction in front of them."""
