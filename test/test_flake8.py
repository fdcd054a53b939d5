from ament_flake8.main import main_with_errors


def test_the_code_passes_ament_flake8():
    status, errors = main_with_errors(argv=[])
    assert status == 0, '\n'.join(errors)
