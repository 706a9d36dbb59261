"""One judgement for pages, `GET /verdict`, `check` and alerts: is it well, and if not, why, and what helps."""

from app.verdict.causes import ACTIONS, CODES, KINDS, Cause, Kind, Verdict
from app.verdict.judge import Judge

__all__ = ["ACTIONS", "CODES", "KINDS", "Cause", "Judge", "Kind", "Verdict"]
