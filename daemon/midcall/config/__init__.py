"""Configuration: one Struct a table, unknown keys refused, errors that name line and key.

A core: it is given the text of a TOML file.
"""

from midcall.config.admf_tables import AdmfConfig, AdmfElement, AdmfKms, AdmfLimits, AdmfPeople, AdmfPerson, AdmfX1
from midcall.config.asking import ExplainTable, WarrantsTable, asking, warrants
from midcall.config.audit_tables import AuditConfig, AuditTable
from midcall.config.cscf_tables import CscfConfig
from midcall.config.handover import KEY_OCTETS, Delivery, Integrity, Network, Profile, ReplayConfig, Warranted, replay
from midcall.config.kinds import Country, Credential, Liid
from midcall.config.kms_tables import KmsCache, KmsConfig, KmsNode, KmsPeer, KmsPeers, KmsTpk, KmsUsers, KmsXk, kms
from midcall.config.live_tables import (
    DfConfig,
    HashContextTable,
    HepTable,
    LiTable,
    PoiConfig,
    TapConfig,
    TlsTable,
    X1Table,
)
from midcall.config.process import (
    PROCESS,
    DaemonConfig,
    LogConfig,
    OperatorConfig,
    ServiceConfig,
    address,
    daemon,
    placed,
    roles,
)
from midcall.config.reloading import waiting
from midcall.config.text import MAX_OCTETS, ConfigError, hexadecimal, line_of, named, read

__all__ = [
    "AuditConfig",
    "AuditTable",
    "AdmfConfig",
    "AdmfElement",
    "AdmfKms",
    "AdmfLimits",
    "AdmfPeople",
    "AdmfPerson",
    "AdmfX1",
    "ConfigError",
    "Country",
    "CscfConfig",
    "Credential",
    "DaemonConfig",
    "DfConfig",
    "ExplainTable",
    "HashContextTable",
    "HepTable",
    "LiTable",
    "PoiConfig",
    "TapConfig",
    "TlsTable",
    "X1Table",
    "Delivery",
    "Integrity",
    "KEY_OCTETS",
    "KmsCache",
    "KmsConfig",
    "KmsNode",
    "KmsPeer",
    "KmsPeers",
    "KmsTpk",
    "KmsUsers",
    "KmsXk",
    "Liid",
    "LogConfig",
    "MAX_OCTETS",
    "Network",
    "OperatorConfig",
    "PROCESS",
    "Profile",
    "ReplayConfig",
    "ServiceConfig",
    "Warranted",
    "WarrantsTable",
    "address",
    "asking",
    "daemon",
    "hexadecimal",
    "kms",
    "line_of",
    "named",
    "placed",
    "read",
    "replay",
    "roles",
    "waiting",
    "warrants",
]
