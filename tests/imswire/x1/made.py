"""X1 for tests: the samples, a message to damage, and Hypothesis strategies of every value."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from hypothesis import strategies as st

from imswire import x1
from imswire.x1.document import COMMON, X1, new, write
from imswire.x1.extensions import ForeignElement, warrant_extension
from imswire.x1.members import Part, Type
from imswire.x1.responses import ACKNOWLEDGEMENTS
from imswire.x1.targets import OTHERS

DATA = Path(__file__).parents[2] / "data" / "x1"
REQUESTS = tuple(
    (DATA / f"x1_{name}.xml").read_bytes()
    for name in ("activate_mdf2_with_mediation", "create_destination_and_activate", "ne_reports_and_deactivate")
)
RESPONSES = tuple((DATA / f"x1_{name}.xml").read_bytes() for name in ("responses", "toplevel_error"))
ACTIVATE = REQUESTS[0]

TRANSACTION = "3741800e-971b-4aa9-85f4-466d2b1adc80"
XID = "29f28e1c-f230-486a-a860-f5a784ab9172"
DID = "19867c20-8c94-473e-b9cd-8b72b7b05fd4"
AT = 1_704_164_645_000_000_000
HEADER = x1.Header("admf-1", "scscf-1", AT, x1.VERSION, TRANSACTION)
TASK = x1.TaskDetails(XID, (x1.Impu("sip:alice@ims.example"),), x1.DeliveryType.X2_ONLY, x1.ListOfDids((DID,)))


def activate(**changed: object) -> x1.ActivateTaskRequest:
    """An ActivateTaskRequest whose task differs in these members."""
    members = {name: getattr(TASK, name) for name in TASK.__struct_fields__}
    return x1.ActivateTaskRequest(HEADER, x1.TaskDetails(**(members | changed)))


def one(octets: bytes) -> object:
    """The only message of a request."""
    (found,) = x1.parse_requests(octets)
    return found


def changed(old: bytes, new: bytes, octets: bytes = ACTIVATE) -> bytes:
    """A sample in which something is different, once."""
    assert old in octets
    return octets.replace(old, new, 1)


def with_target(element: bytes) -> bytes:
    """The sample with another target identifier."""
    return changed(b"<impu>sip:alice@ims.example</impu>", element)


def again(table: Type, value: object) -> object:
    """A value, written and read."""
    root = new("root")
    table.write(value, root)
    return table.read(write(root)[1])


def foreign(octets: bytes) -> x1.Extension:
    return x1.Extension("owner", (ForeignElement.parse(octets),))


# Strategies

uuids = st.uuids().map(str)
texts = st.text(
    st.characters(max_codepoint=0x2_FFFF, exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    max_size=20,
)
tokens = st.text("abcXYZ-._ 09é", max_size=20).map(lambda text: " ".join(text.split()))
uri_tails = st.text("abcz019:@;=.-", min_size=1, max_size=20)
times = st.integers(-62_000_000_000, 253_000_000_000).map(lambda s: s * 1_000_000_000 + 123_000)
naturals = st.integers(0, 10**12)
maybe_bools = st.none() | st.booleans()

foreigners = st.sampled_from(
    [
        ForeignElement.parse(b'<a xmlns="urn:a"><b c="d">e</b></a>'),
        ForeignElement.parse(b'<a xmlns="urn:a" xmlns:c="http://uri.etsi.org/03280/common/2017/07"><c:b d="c:e"/></a>'),
        ForeignElement.parse(b'<p:a xmlns:p="urn:p" xmlns:q="urn:q" p:t="q:v">q:x</p:a>'),
        ForeignElement.parse(b'<X1Extensions xmlns="urn:3GPP:ns:li:3GPPX1Extensions:r19:v2"><SDP><SDPData><LocalSDP>v=0'
                             b"&#13;\n</LocalSDP></SDPData></SDP></X1Extensions>"),
    ]
)  # fmt: skip
extensions = st.builds(x1.Extension, texts, st.lists(foreigners, max_size=2).map(tuple)) | st.binary(
    min_size=1, max_size=50
).map(warrant_extension)
some_extensions = st.lists(extensions, max_size=2).map(tuple)

opaque_texts = {"imsi": "262011234567890", "nai": "a@b", "vrf": "v", "macAddress": "00:11:22:33:44:55", "udpPort": "0"}
assert opaque_texts.keys() <= set(OTHERS)
opaques = st.sampled_from(
    [
        x1.Opaque("tcpPortRange", "", (Part(COMMON, "start", "2"), Part(COMMON, "end", "9"))),
        x1.Opaque("udpPortList", "", (Part(X1, "udpPort", "0"), Part(X1, "udpPort", "1"))),
        *(x1.Opaque(name, text) for name, text in opaque_texts.items()),
    ]
)
targets = st.one_of(
    st.from_regex(r"[0-9]{1,15}", fullmatch=True).map(x1.E164Number),
    uri_tails.map(lambda tail: x1.SipUri("sip:" + tail)),
    uri_tails.map(lambda tail: x1.TelUri("tel:" + tail)),
    uri_tails.map(x1.Impu),
    texts.map(x1.Impi),
    st.from_regex(r"[0-9]{14}", fullmatch=True).map(x1.Imei),
    st.sampled_from(x1.CallPartyRole),
    st.sampled_from(x1.NonLocalIdentifier),
    st.builds(x1.HashedIdentifier, uuids, texts, st.binary(max_size=32)),
    extensions,
    opaques,
)
dids = st.builds(x1.ListOfDids, st.lists(uuids, max_size=2).map(tuple), st.lists(uuids, max_size=2).map(tuple))
services = st.lists(st.sampled_from(x1.ServiceType), max_size=2).map(tuple)
policies = st.lists(uuids, max_size=2).map(tuple)
locations = st.builds(
    x1.LocationTypes, st.lists(st.builds(x1.LocationType, maybe_bools, maybe_bools, maybe_bools), max_size=2).map(tuple)
)
scopings = st.builds(
    x1.ServiceScopingOptions, services, st.none() | st.just(x1.DoNotReport()) | locations, maybe_bools, maybe_bools
)
mediations = st.builds(
    x1.MediationDetails,
    st.from_regex(r"[!-~]{1,25}", fullmatch=True),
    st.sampled_from(x1.MediationDeliveryType),
    st.none() | times,
    st.none() | times,
    st.none() | dids,
    some_extensions,
    st.lists(scopings, max_size=2).map(tuple),
    policies,
)
tasks = st.builds(
    x1.TaskDetails,
    uuids,
    st.lists(targets, min_size=1, max_size=3).map(tuple),
    st.sampled_from(x1.DeliveryType),
    dids,
    st.lists(mediations, max_size=2).map(tuple),
    st.none() | naturals,
    maybe_bools,
    st.none() | uuids,
    services,
    some_extensions,
    policies,
)
faults = st.lists(st.builds(x1.Fault, st.integers(-(10**6), 10**6), texts), max_size=2).map(tuple)
statuses = st.builds(
    x1.TaskStatus,
    st.sampled_from(x1.ProvisioningStatus),
    faults,
    st.none() | times,
    st.none() | naturals,
    st.none() | naturals,
    st.none() | times,
    st.none() | naturals,
    some_extensions,
)
task_responses = st.builds(x1.TaskResponseDetails, tasks, statuses)
ports = st.integers(2, 65_535).map(x1.TcpPort) | st.integers(0, 65_535).map(x1.UdpPort)
addresses = st.one_of(
    st.builds(x1.IpAddressAndPort, st.ip_addresses(v=4) | st.ip_addresses(v=6), ports),
    st.just(x1.E164Number("4670")),
    st.just(x1.Uri("https://df2.example/x2")),
    st.just(x1.EmailAddress("li@df.example")),
    st.just(x1.IpAddressAndPort(IPv4Address("192.0.2.1"), x1.TcpPort(9992))),
    st.just(x1.IpAddressAndPort(IPv6Address("2001:db8::1"), x1.TcpPort(9992))),
)
destinations = st.builds(
    x1.DestinationDetails, uuids, st.sampled_from(x1.DeliveryType), addresses, st.none() | texts, some_extensions
)
destination_responses = st.builds(
    x1.DestinationResponseDetails,
    destinations,
    st.builds(x1.DestinationStatus, st.sampled_from(x1.DestinationDeliveryStatus), faults),
)
hash_contexts = st.builds(x1.HashContext, uuids, st.sampled_from(x1.HashAlgorithm), st.binary(min_size=8, max_size=16))
object_responses = st.builds(
    x1.GenericObjectResponseDetails, hash_contexts, st.none() | st.just(x1.GenericObjectStatus())
)
object_types = st.just("Q{http://uri.etsi.org/03221/X1/2017/10/HashedID}HashContext")
headers = st.builds(x1.Header, tokens, tokens, times, st.sampled_from(["v1.6.1", "v1.22.1", "v1.13.10"]), uuids)

_reports = (st.sampled_from(x1.TaskReportType), st.none() | st.integers(0, 9_999), st.none() | texts)
requests = st.one_of(
    *(st.builds(kind, headers, tasks) for kind in (x1.ActivateTaskRequest, x1.ModifyTaskRequest)),
    *(st.builds(kind, headers, destinations) for kind in (x1.CreateDestinationRequest, x1.ModifyDestinationRequest)),
    *(st.builds(kind, headers, hash_contexts) for kind in (x1.CreateObjectRequest, x1.ModifyObjectRequest)),
    *(
        st.builds(kind, headers, uuids)
        for kind in (
            x1.DeactivateTaskRequest,
            x1.GetTaskDetailsRequest,
            x1.RemoveDestinationRequest,
            x1.GetDestinationDetailsRequest,
            x1.GetObjectRequest,
            x1.DeleteObjectRequest,
        )
    ),
    *(
        st.builds(kind, headers)
        for kind in (
            x1.DeactivateAllTasksRequest,
            x1.RemoveAllDestinationsRequest,
            x1.GetNEStatusRequest,
            x1.GetAllDetailsRequest,
            x1.ListAllDetailsRequest,
            x1.GetAllTaskDetailsRequest,
            x1.GetAllDestinationDetailsRequest,
            x1.PingRequest,
            x1.KeepaliveRequest,
            x1.DeleteAllObjectsRequest,
        )
    ),
    st.builds(x1.GetAllGenericObjectDetailsRequest, headers, st.none() | object_types),
    st.builds(x1.ListObjectsOfTypeRequest, headers, object_types),
    st.builds(x1.ReportTaskIssueRequest, headers, uuids, *_reports, some_extensions),
    st.builds(x1.ReportDestinationIssueRequest, headers, uuids, *_reports),
    st.builds(
        x1.ReportNEIssueRequest,
        headers,
        st.sampled_from(x1.NeIssueType),
        texts,
        st.none() | st.integers(0, 9_999),
        some_extensions,
    ),
)
_nes = st.builds(x1.NeStatusDetails, st.sampled_from(x1.NeStatus), faults)
_all_tasks = st.lists(task_responses, max_size=2).map(tuple)
_all_destinations = st.lists(destination_responses, max_size=2).map(tuple)
_all_objects = st.lists(object_responses, max_size=2).map(tuple)
responses = st.one_of(
    *(st.builds(kind, headers) for kind in ACKNOWLEDGEMENTS.values()),
    st.builds(x1.ActivateTaskResponse, headers, st.sampled_from(x1.Ok)),
    st.builds(
        x1.ErrorResponse,
        headers,
        st.sampled_from(x1.RequestMessageType),
        st.builds(x1.Fault, st.sampled_from(x1.ErrorCode).map(int), texts),
        st.none() | st.builds(x1.ExtensionInformation, st.sampled_from(x1.ExtensionSpecification), texts),
    ),
    st.builds(x1.GetTaskDetailsResponse, headers, task_responses),
    st.builds(x1.GetDestinationDetailsResponse, headers, destination_responses),
    st.builds(x1.GetNEStatusResponse, headers, _nes),
    st.builds(x1.GetAllDetailsResponse, headers, _nes, _all_tasks, _all_destinations, _all_objects),
    st.builds(x1.ListAllDetailsResponse, headers, policies, dids, policies),
    st.builds(x1.GetAllTaskDetailsResponse, headers, _all_tasks),
    st.builds(x1.GetAllDestinationDetailsResponse, headers, _all_destinations),
    st.builds(x1.GetAllGenericObjectDetailsResponse, headers, _all_objects),
    st.builds(x1.GetObjectResponse, headers, object_responses),
    st.builds(x1.ListObjectsOfTypeResponse, headers, policies),
)
