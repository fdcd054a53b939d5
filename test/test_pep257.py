from ament_pep257.main import main


def test_the_docstrings_pass_ament_pep257():
    # D417 wants a parameter's description below its name; ours stands beside it.
    assert main(argv=['--add-ignore', 'D417', '--', '.', 'test']) == 0
