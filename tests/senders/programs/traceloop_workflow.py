"""A workflow under traceloop-sdk."""

import os

from conversation import converse, get_weather
from openai import OpenAI
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool, workflow

Traceloop.init(app_name=os.environ["OTEL_SERVICE_NAME"], api_endpoint=os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], disable_batch=True)
weather = tool(name="get_weather")(get_weather)


@agent(name="forecaster")
def forecast() -> str:
    return converse(OpenAI(), weather)


@workflow(name="daily")
def daily() -> str:
    Traceloop.set_association_properties({"session_id": "s-7", "user_id": "u-7"})
    return str(forecast())


daily()
