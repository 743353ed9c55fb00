import pytest

from model.evaluation.markdown import code, plain, visible


@pytest.mark.parametrize(
    "name", ["frankfurt_000000_000019.png", "traffic light", "0.500", "a-b (1).jpg", "größe é.png"]
)
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b.png", r"a\|b.png"),
        ("a\nb", r"a\\nb"),
        ("\x1b[31mred", r"\\x1b\[31mred"),
        ("gpj.\u202egnp", r"gpj.\\u202egnp"),
        ("half \udcff", r"half \\udcff"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[here](there)", r"\[here\](there)"),
        ("*a* `b` ~~c~~ &lt;", r"\*a\* \`b\` \~\~c\~\~ \&lt;"),
        ("_a_ b_c", r"\_a\_ b_c"),
        (r"a\|b", r"a\\\|b"),
        ("https://x.org www.x.org", r"https\://x.org www\.x.org"),
    ],
)
def test_foreign_text_means_nothing_in_markdown(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_what_cannot_be_seen_is_an_escape_and_the_text_one_line() -> None:
    assert visible("a\r\n\tb\u2028c\u200bd") == r"a\r\n\tb\u2028c\u200bd"


def test_code_is_fenced_by_more_than_it_holds() -> None:
    assert code("seedstream evaluate") == "`seedstream evaluate`"
    assert code("a`` b\n`") == r"``` a`` b\n` ```"
