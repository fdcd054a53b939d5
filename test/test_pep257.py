from ament_pep257.main import main


def test_the_docstrings_pass_ament_pep257():
    assert main(argv=['.', 'test']) == 0
