from __future__ import annotations

from tasearch.domain.balance import effective_images, imbalance


def test_classes_of_about_one_size_are_not_worth_a_word() -> None:
    assert imbalance(("a", "b"), {"train": (10, 14), "val": (1, 1)}) is None


def test_the_largest_and_the_smallest_class_are_named_with_the_trivial_accuracy() -> None:
    text = imbalance(("a", "b", "c"), {"train": (40, 1200, 90), "val": (4, 120, 9)})
    assert text is not None
    assert "1,200 training images of 'b', 40 of 'a'" in text
    assert "always saying 'b' is right on 90.2% of val" in text


def test_even_classes_are_worth_all_their_images() -> None:
    assert effective_images((50, 50)) == 100


def test_a_rare_class_makes_the_mean_over_classes_as_uncertain_as_few_images_do() -> None:
    assert effective_images((1000, 2)) == 7
