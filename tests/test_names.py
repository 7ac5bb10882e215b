from __future__ import annotations

import unicodedata

from recon.sources.names import natural_key, normalise_name


def test_one_name_in_two_unicode_forms_is_one_name() -> None:
    composed, decomposed = "café/Å 1.jpg", unicodedata.normalize("NFD", "café/Å 1.jpg")
    assert composed != decomposed
    assert normalise_name(composed) == normalise_name(decomposed) == composed


def test_natural_key_orders_as_people_count() -> None:
    names = ["b1", "img2.png", "IMG10.png", "img011.png", "img100", "a9", "²1", "10", "9"]
    ordered = ["9", "10", "a9", "b1", "img2.png", "IMG10.png", "img011.png", "img100", "²1"]
    assert sorted(names, key=natural_key) == ordered
