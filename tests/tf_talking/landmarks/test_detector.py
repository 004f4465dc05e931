import numpy as np

from tf_talking.landmarks import detector


def face(x: float, size: float) -> np.ndarray:
    return np.array([[x, 0], [x + size, size]], np.float32)


def test_the_only_face_is_chosen():
    chosen = detector.choose_face([face(5, 100)])
    np.testing.assert_array_equal(chosen.landmarks, face(5, 100))
    assert chosen.reason is None
    assert detector.choose_face([]) == detector.Detection(None, "no face")


def test_people_of_comparable_size_are_too_many():
    found = detector.choose_face([face(0, 100), face(200, 40), face(300, 10)])
    assert found == detector.Detection(None, "several faces (2)")


def test_background_and_double_findings_do_not_count():
    found = detector.choose_face([face(200, 30), face(0, 100), face(20, 60)])
    np.testing.assert_array_equal(found.landmarks, face(0, 100))


def test_a_box_chooses_among_faces():
    faces = [face(0, 100), face(200, 90), face(320, 20)]
    chosen = detector.choose_face(faces, np.array([180, 0, 130, 120]))
    np.testing.assert_array_equal(chosen.landmarks, faces[1])
    assert detector.choose_face(faces).reason == "several faces (2)"
    nobody = detector.choose_face(faces, np.array([120, 0, 60, 120]))
    assert (nobody.landmarks, nobody.reason) == (None, "no face in the given box")
    assert detector.choose_face([], np.array([0, 0, 9, 9])).reason == "no face"
