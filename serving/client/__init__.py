"""The clients of a talking-head server. Need NumPy, gRPC and protobuf; OpenCV to decode frames."""

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.client.blocking import CardMismatchError, TalkingHeadClient, TalkingHeadError
from serving.client.channels import TlsOptions
from serving.client.streaming import StreamFrame

__all__ = [
    "AsyncTalkingHeadClient",
    "CardMismatchError",
    "StreamFrame",
    "TalkingHeadClient",
    "TalkingHeadError",
    "TlsOptions",
]
