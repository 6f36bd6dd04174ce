"""What the store keeps, as plain frozen values.

Amounts are micro-credits, times are aware and in UTC, durations are seconds, digests read ``sha256:…``. Everything of
type :data:`Json` is JSON text, so that what a request brought is stored and sent on without being parsed again.
"""

from jupyter_quantum.store.rows.admissions import AdmissionRow, AdmissionState
from jupyter_quantum.store.rows.audit import CheckpointRow, Sought, TreeState
from jupyter_quantum.store.rows.base import Json
from jupyter_quantum.store.rows.data import DATA_CLASSES, ArtefactRow, KeyRow, TenantData
from jupyter_quantum.store.rows.door import AnswerRow, AnswerState, DeadRow, WebhookRow, WebhookState
from jupyter_quantum.store.rows.events import EventRow
from jupyter_quantum.store.rows.exports import ExportRow, ExportState
from jupyter_quantum.store.rows.jobs import (
    ApprovalRow,
    ApprovalState,
    AttemptRow,
    AttemptState,
    DeviceRow,
    DeviceState,
    JobRow,
    ReportRow,
)
from jupyter_quantum.store.rows.ledger import (
    AccountRow,
    AccountScope,
    AccountSpec,
    Claim,
    EntryRow,
    LoanRow,
    PriceRow,
    RaiseRow,
)
from jupyter_quantum.store.rows.people import PersonRow
from jupyter_quantum.store.rows.policy import DecisionRow, EnvelopeKind, EnvelopeRow, EnvelopeState, EnvelopeUseRow
from jupyter_quantum.store.rows.requests import RequestRow, RequestState
from jupyter_quantum.store.rows.series import ScoreRow, SeriesRow, SeriesRunRow, SeriesRunState
from jupyter_quantum.store.rows.sessions import SessionRow, SessionState
from jupyter_quantum.store.rows.tenancy import DeclaredRow, MembershipKind, MembershipRow, RevisionRow, WorkloadRow

__all__ = [
    "DATA_CLASSES",
    "AccountRow",
    "AccountScope",
    "AccountSpec",
    "AdmissionRow",
    "AdmissionState",
    "AnswerRow",
    "AnswerState",
    "ApprovalRow",
    "ApprovalState",
    "ArtefactRow",
    "AttemptRow",
    "AttemptState",
    "CheckpointRow",
    "Claim",
    "DeadRow",
    "DecisionRow",
    "DeclaredRow",
    "DeviceRow",
    "DeviceState",
    "EntryRow",
    "EnvelopeKind",
    "EnvelopeRow",
    "EnvelopeState",
    "EnvelopeUseRow",
    "EventRow",
    "ExportRow",
    "ExportState",
    "JobRow",
    "Json",
    "KeyRow",
    "LoanRow",
    "MembershipKind",
    "MembershipRow",
    "PersonRow",
    "PriceRow",
    "RaiseRow",
    "ReportRow",
    "RequestRow",
    "RequestState",
    "RevisionRow",
    "ScoreRow",
    "SeriesRow",
    "SeriesRunRow",
    "SeriesRunState",
    "SessionRow",
    "SessionState",
    "Sought",
    "TenantData",
    "TreeState",
    "WebhookRow",
    "WebhookState",
    "WorkloadRow",
]
