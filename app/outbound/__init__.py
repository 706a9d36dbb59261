"""The one way out: an HTTP client, the wire it runs on, its calls and their repeats."""
