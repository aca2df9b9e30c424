"""Findings for programs."""

from collections.abc import Iterable
from typing import Any

from kvtui.base.findings import Finding

_ORDER = {"error": 0, "warning": 1, "note": 2}


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Errors first."""
    ordered = sorted(findings, key=lambda f: _ORDER[f.severity])
    return [{"code": f.code, "severity": f.severity, "message": f.message} for f in ordered]
