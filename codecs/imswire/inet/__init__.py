"""Internet packets of captures: frames to datagrams, fragments and TCP streams put together, and back."""

from imswire.inet.address import endpoint, endpoint_key, pack, text
from imswire.inet.build import ethernet_frame, ip_packet, tcp, tcp_frame, udp, udp_frame
from imswire.inet.decode import Decoder, decode, decoder
from imswire.inet.errors import InetError
from imswire.inet.fragments import Reassembler
from imswire.inet.link import ETHERNET, LINUX_SLL, LINUX_SLL2, LOOP, NULL, RAW, IpAt, locate
from imswire.inet.peek import Peek, peek_udp, plain_udp
from imswire.inet.rewrite import UdpRewriter, replace_udp_payload
from imswire.inet.split import fragment_frame, fragment_packet
from imswire.inet.streams import Flow, StreamData, TcpStreams
from imswire.inet.tunnels import MAX_DEPTH as MAX_TUNNELS
from imswire.inet.tunnels import TUNNEL_PORTS, Inner, bare, inner
from imswire.inet.values import ACK, FIN, PSH, RST, SYN, TCP, TUNNELS, UDP, Datagram, Fragment

__all__ = [
    "ACK",
    "ETHERNET",
    "FIN",
    "LINUX_SLL",
    "LINUX_SLL2",
    "LOOP",
    "MAX_TUNNELS",
    "NULL",
    "PSH",
    "RAW",
    "RST",
    "SYN",
    "TUNNEL_PORTS",
    "TCP",
    "TUNNELS",
    "UDP",
    "Datagram",
    "Decoder",
    "Flow",
    "Fragment",
    "Inner",
    "InetError",
    "IpAt",
    "Peek",
    "Reassembler",
    "StreamData",
    "TcpStreams",
    "UdpRewriter",
    "bare",
    "decode",
    "decoder",
    "endpoint",
    "endpoint_key",
    "ethernet_frame",
    "fragment_frame",
    "fragment_packet",
    "inner",
    "ip_packet",
    "locate",
    "pack",
    "peek_udp",
    "plain_udp",
    "replace_udp_payload",
    "tcp",
    "tcp_frame",
    "text",
    "udp",
    "udp_frame",
]
