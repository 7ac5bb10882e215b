"""The predictions of the exporters' tests."""

from tests.export.conftest import make_prediction

__all__ = ["make_prediction"]
