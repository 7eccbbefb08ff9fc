"""Names of images: any path, one text, and back."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, strategies as st

from semart_vectors.errors import UnreadableImageError
from semart_vectors.images.names import to_path, to_text, to_texts

PARTS = (
    st.binary(min_size=1, max_size=12)
    .map(lambda data: data.replace(b"/", b"|").replace(b"\0", b"0"))
    .filter(lambda part: part not in {b".", b".."})
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map(b"/".join)


@given(paths=st.lists(PATHS, max_size=5, unique=True))
def test_any_path_comes_back_from_its_text(paths: list[bytes]) -> None:
    """To the byte; the text is UTF-8, and no other path has it."""
    texts = to_texts([os.fsdecode(path) for path in paths])
    assert [os.fsencode(to_path(text)) for text in texts] == paths
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text.encode().decode() == text
        assert "\0" not in text
        assert to_texts([text]) == [text]


@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
        lambda p: p != ".."
    )
)
def test_a_name_in_utf8_is_its_own_text(path: str) -> None:
    """Nothing is normalised."""
    assert to_text(path) == to_path(path) == path


@given(text=st.text("/ae9c3.\udce9\ud800", max_size=10))
def test_two_texts_never_mean_one_path(text: str) -> None:
    """A text that stands for a path is the only one that does; any other is refused, whatever is in it."""
    [text] = to_texts([text])
    try:
        path = to_path(text)
    except UnreadableImageError:
        return
    assert "//" not in path
    assert to_text(os.fsdecode(os.fsencode(path))) == text


def test_a_byte_that_is_not_utf8_is_written_out() -> None:
    """Two hexadecimal digits behind what no path holds."""
    assert to_text(os.fsdecode(b"caf\xe9.jpg")) == "caf//e9.jpg"
    assert to_text(os.fsdecode(b"a/\xe9\xff/\xc3\xa9")) == "a///e9//ff/\N{LATIN SMALL LETTER E WITH ACUTE}"


@pytest.mark.parametrize("text", ["a//b.jpg", "a//E9.jpg", "a//41.jpg", "//c3//a9.jpg", "a//"])
def test_slashes_that_stand_for_no_byte_are_refused(text: str) -> None:
    """``a//b`` would be another name of ``a/b``, and ``//c3//a9`` another one of an ``é``."""
    with pytest.raises(UnreadableImageError, match="separate folders by one /"):
        to_path(text)


@pytest.mark.parametrize("text", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", ".."])
def test_a_name_that_leads_out_of_the_folder_is_refused(text: str) -> None:
    """Whoever wrote the list of names has no say beyond the folder."""
    with pytest.raises(UnreadableImageError, match="leads out of the folder"):
        to_path(text)
