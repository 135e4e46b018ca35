"""A handler as teams that use aws-lambda-powertools write it."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2, S3Event, event_source
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventV2Model, EventBridgeModel, S3Model

logger = Logger(service="shop", level="INFO")
metrics = Metrics(namespace="Shop", service="shop")
app = APIGatewayHttpResolver()


@app.get("/orders/<number>")
def order(number: str):
    logger.info("an order", extra={"number": number})
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=1)
    return {"number": number, "wanted": app.current_event.get_query_string_value("fields", "all")}


@app.post("/orders")
def create():
    return {"created": app.current_event.json_body}, 201


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId", log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    return app.resolve(event, context)


@event_parser(model=APIGatewayProxyEventV2Model)
def http_model(event, context):
    return {"path": event.rawPath, "agent": event.requestContext.http.userAgent}


@event_parser(model=S3Model)
def upload_model(event, context):
    return [record.s3.object.key for record in event.Records]


@event_parser(model=EventBridgeModel)
def timer_model(event, context):
    return [event.detail_type, event.source, event.time.isoformat()]


@event_source(data_class=S3Event)
def upload_class(event, context):
    return [[event.bucket_name, record.s3.get_object.key] for record in event.records]


@event_source(data_class=APIGatewayProxyEventV2)
def http_class(event, context):
    return [event.http_method, event.raw_path, event.cookies, event.decoded_body]
