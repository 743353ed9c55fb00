from importlib.metadata import PackageNotFoundError

import pytest

from requirements import install
from requirements.install import UV, pip_settings, uv_is_here, uv_variables

LISTED = """\
:env:.find-links='/wheels /more'
:env:.index-url='https://own.example/simple'
global.cert='/etc/ca.crt'
global.index-url='https://shadowed.example/simple'
install.trusted-host='a.example\\nb.example'
install.quiet='1'
"""


def test_uv_asks_the_index_that_pip_is_set_to_ask() -> None:
    assert uv_variables(pip_settings(LISTED)) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://own.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "a.example b.example",
        "SSL_CERT_FILE": "/etc/ca.crt",
    }


def test_without_settings_of_pip_uv_has_its_own() -> None:
    assert uv_variables(pip_settings("")) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.mark.parametrize(
    ("installed", "expected"), [(UV.partition("==")[2], True), ("0.1", False), (None, False)]
)
def test_uv_is_asked_for_where_another_version_or_none_is(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, expected: bool
) -> None:
    def version(name: str) -> str:
        assert name == "uv"
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(install, "version", version)
    assert uv_is_here() is expected
