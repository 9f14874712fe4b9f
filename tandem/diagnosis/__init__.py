"""What the learning curves of a run say: the case in words, the numbers it rests on, and what to try next.

docs/diagnosis.md has every rule with its threshold and its reason.
"""

from __future__ import annotations

from tandem.diagnosis.baseline import constant_baseline
from tandem.diagnosis.records import (
    TITLES,
    Baseline,
    Case,
    Diagnosis,
    DiagnosisRecord,
    Finding,
    ReplicateDiagnosis,
    RunDiagnosis,
)
from tandem.diagnosis.replicates import agreement, case_words, diagnose, diagnose_replicate, diagnose_run
from tandem.diagnosis.trends import Trend

__all__ = [
    "TITLES",
    "Baseline",
    "Case",
    "Diagnosis",
    "DiagnosisRecord",
    "Finding",
    "ReplicateDiagnosis",
    "RunDiagnosis",
    "Trend",
    "agreement",
    "case_words",
    "constant_baseline",
    "diagnose",
    "diagnose_replicate",
    "diagnose_run",
]
