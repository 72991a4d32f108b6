"""The papers' tokeniser, decoding, and which captions count."""

import pytest

from t2i_repro.data.captions import Vocabulary, decode, file_lines, tokenise, usable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The bird's Wing-bars, 2 of them.", ["the", "bird", "s", "wing", "bars", "2", "of", "them"]),
        ("a caf\u00e9-colored bird", ["a", "caf", "colored", "bird"]),  # characters beyond ASCII go, their word stays
        ("\u9ce5 \u00fc", []),  # and a word of nothing else goes altogether
        ("white\ufffd\ufffdbelly", ["white", "belly"]),
        ("under_score", ["under_score"]),
        (" ... ", []),
    ],
)
def test_tokens(text: str, words: list[str]) -> None:
    assert tokenise(text) == words


def test_bytes_that_are_no_utf8_become_spaces_and_are_counted_by_line() -> None:
    text, damaged = decode(b"a caf\xe9 bird\na good line\nanother \xff\xfe one\n")
    assert damaged == 2
    assert text.split("\n")[:3] == ["a caf  bird", "a good line", "another    one"]
    # U+FFFD that was already in the file (Reed's archive has it) is valid UTF-8 and not counted.
    assert decode("white\ufffd\ufffdbelly".encode()) == ("white  belly", 0)


def test_a_byte_order_mark_is_no_word() -> None:
    assert tokenise(decode(b"\xef\xbb\xbfa bird")[0]) == ["a", "bird"]


def test_only_usable_captions_count_towards_the_limit() -> None:
    found = usable(["", "a bird", " ... ", "  two birds ", "three", "never seen"], limit=3)
    assert found.texts == ["a bird", "two birds", "three"]
    assert (found.empty, found.wordless) == (1, 1)


def test_the_newline_at_the_end_is_no_empty_caption() -> None:
    assert file_lines("one\r\ntwo\n") == ["one", "two"]
    assert file_lines("one\n\ntwo") == ["one", "", "two"]


def test_vocabulary_counts_from_one_in_order_of_first_use() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.indices(["a", "red", "bird"]) == [1, 2, 3]
    assert vocabulary.indices(["a", "blue", "bird"]) == [1, 4, 3]
    assert vocabulary.words == ["<end>", "a", "red", "bird", "blue"]
