"""The client: `from serving.client import TalkingHeadClient, AsyncTalkingHeadClient`."""

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.client.blocking import TalkingHeadClient

__all__ = ["AsyncTalkingHeadClient", "TalkingHeadClient"]
