"""Customer bridge from iPaaS.com to Stamped.io."""

from importlib.metadata import version

VERSION = version("ipaas-stamped")
