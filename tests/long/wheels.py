"""Packages that hold compiled code, the most used of each kind: deployed, imported and made to do something.

Not a part of `make test`, for its length and its downloads: `make test-wheels` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import platform as platforms

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

USES = {
    "numpy": "import numpy; return float(numpy.arange(4).sum())",
    "pandas": "import pandas; return int(pandas.DataFrame({'a': [1, 2, 3]}).a.sum())",
    "lxml": "from lxml import etree; return etree.fromstring('<a><b/></a>')[0].tag",
    "pillow": "from PIL import Image; return Image.new('RGB', (2, 3)).size",
    "cryptography": "from cryptography.fernet import Fernet; f = Fernet(Fernet.generate_key());"
    " return f.decrypt(f.encrypt(b'x')).decode()",
    "psycopg2-binary": "import psycopg2; return psycopg2.__libpq_version__ > 0",
    "scipy": "import scipy.linalg, scipy.optimize; return float(scipy.linalg.det([[2, 0], [0, 2]]))",
    "scikit-learn": "from sklearn.linear_model import LinearRegression as L;"
    " return round(float(L().fit([[0], [1]], [0, 2]).coef_[0]), 6)",
    "pyarrow": "import pyarrow, pyarrow.parquet; return pyarrow.array([1, 2]).to_pylist()",
    "opencv-python-headless": "import cv2, numpy; return cv2.cvtColor(numpy.zeros((2, 2, 3), 'uint8'), 6).shape",
    "ujson": "import ujson; return ujson.loads('[1]')",
    "greenlet": "import greenlet; return greenlet.greenlet(lambda: 1).switch()",
    "rapidfuzz": "from rapidfuzz import fuzz; return fuzz.ratio('ab', 'ab')",
    "kiwisolver": "import kiwisolver; return kiwisolver.Variable('x').name()",
    "shapely": "import shapely; return shapely.Point(0, 0).buffer(1).area > 3",
    "matplotlib": "import io, matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt;"
    " out = io.BytesIO(); plt.plot([1, 2]); plt.savefig(out); return len(out.getvalue()) > 1000",
    "grpcio": "import grpc; return grpc.StatusCode.OK.value[0]",
    "lightgbm": "import lightgbm; return lightgbm.__version__ > ''",
    "contourpy": "import contourpy; return len(contourpy.contour_generator(z=[[0, 1], [1, 0]]).lines(0.5)) > 0",
    "pydantic": "import pydantic; return pydantic.TypeAdapter(int).validate_python('3')",
    "orjson": "import orjson; return orjson.loads(b'[1]')",
    "tokenizers": "import tokenizers; return tokenizers.Tokenizer(tokenizers.models.BPE()).get_vocab_size()",
    "duckdb": "import duckdb; return duckdb.sql('select 41 + 1').fetchall()[0][0]",
    "llvmlite": "import llvmlite.binding as b; return len(b.llvm_version_info)",
    "regex": "import regex; return regex.match('a+', 'aab')[0]",
    "lz4": "import lz4.frame; return lz4.frame.decompress(lz4.frame.compress(b'x')).decode()",
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path_factory.mktemp("data"), engine="docker", **platforms.PATIENT) as made:
        yield made


@pytest.mark.parametrize("package", sorted(USES))
def test_a_package_with_compiled_code_runs(platform: platforms.Platform, tmp_path: Path, package: str) -> None:
    (tmp_path / "app.py").write_text(f"def handler(event, context):\n    {USES[package]}\n")
    (tmp_path / "requirements.txt").write_text(f"{package}\n")
    function = {
        "runtime": "python3",
        "handler": "app.handler",
        "requirements": "requirements.txt",
        "memory": "1GB",
        "timeout": "60s",
    }
    platform.deploy(tmp_path, {"functions": {f"uses-{package}": function}})
    called = platform.json("invoke", f"uses-{package}")
    assert called["status"] == "ok", called
    assert called["result"] is not None and called["result"] is not False, called
