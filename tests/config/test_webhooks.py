"""What may be wrong with a webhook's settings is said before it runs, and what is secret is not said again."""

from __future__ import annotations

import pytest

from collector.components import registry
from collector.webhooks import webhook_problems
from config.problems import ConfigError
from config.settings import Settings
from config.sources import gather
from config.validation import validate

URL = "sinks::webhook::url=https://hooks.example.com/s3cret"


def settings(*set_: str) -> Settings:
    return validate(gather([], set_, {}), registry(), webhook_problems)


def test_it_is_off_without_a_url_and_on_with_one() -> None:
    assert not settings().sinks["webhook"].enabled
    assert settings(URL).sinks["webhook"].enabled


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sinks::webhook::url=hooks.example.com/s3cret", "must be a URL"),
        ("sinks::webhook::url=ftp://hooks.example.com/s3cret", "must be a URL"),
        ("sinks::webhook::url=https://me:s3cret@hooks.example.com", "Authorization header"),
        ("sinks::webhook::url=https://hooks.example.com:99999/s3cret", "is not a URL"),
        ("sinks::webhook::secret=whsec_s3cret!", "not base64"),
        ("sinks::webhook::headers={Host: s3cret}", "set by the sink itself"),
        ("sinks::webhook::headers={webhook-id: s3cret}", "set by the sink itself"),
        ('sinks::webhook::headers={"a b": s3cret}', "not the name of a header"),
        ('sinks::webhook::headers={X-Key: "s3cret\\r\\nX-Evil: 1"}', "control character"),
        ("sinks::webhook::ca_file=/nowhere/ca.pem", "there is no file /nowhere/ca.pem"),
        ("sinks::webhook::min_severity=urgent", "'critical'"),
        ("sinks::webhook::events=[]", "at least 1"),
    ],
)
def test_a_mistake_is_named_with_its_place(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(setting)
    (problem,) = refused.value.problems
    assert said in problem.message
    assert "s3cret" not in problem.message
    assert problem.path[:2] == ("sinks", "webhook")
    assert problem.place.source == f"--set {setting.partition('=')[0]}"
