"""What is noted of held-out photos."""

from colorization.data import held_out


def test_held_out_photos_are_noted_where_their_files_are(tmp_path):
    """Also where another photo has got the name."""
    first, second = tmp_path / "1.jpg", tmp_path / "2.jpg"
    first.write_bytes(b"one")
    noted = held_out.identify([str(first)])
    assert held_out.with_current_paths(noted, [str(second)]) == noted
    first.rename(second)
    first.write_bytes(b"other")
    (now,) = held_out.with_current_paths(noted, [str(first), str(second)])
    assert (now.path, now.sha256) == (str(second), noted[0].sha256)


def test_the_path_of_a_held_out_photo_does_not_speak_for_another_one(tmp_path):
    """Photos may be renumbered: what was trained on may lie there now."""
    first, second = tmp_path / "1.jpg", tmp_path / "2.jpg"
    first.write_bytes(b"held out")
    second.write_bytes(b"trained on")
    noted, sizes = held_out.identify([str(first)]), frozenset([8, 10])
    assert held_out.possibly_trained_on([str(first)], noted, sizes) == 0
    first.rename(tmp_path / "3.jpg")
    second.rename(first)
    assert held_out.possibly_trained_on([str(first)], noted, sizes) == 1
    assert held_out.possibly_trained_on([str(tmp_path / "3.jpg")], noted, sizes) == 0
