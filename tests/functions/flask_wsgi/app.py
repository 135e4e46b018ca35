"""A Flask application through apig-wsgi."""

from apig_wsgi import make_lambda_handler
from flask import Flask, jsonify, make_response, request

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name):
    app.logger.warning("saying hello")
    answer = make_response(jsonify(hello=name, q=request.args.getlist("q"), host=request.host))
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.post("/upload")
def upload():
    return jsonify(size=len(request.files["file"].read()), name=request.form["name"])


@app.get("/bytes")
def raw():
    return app.response_class(b"\x00\xff", mimetype="application/octet-stream")


handler = make_lambda_handler(app)
