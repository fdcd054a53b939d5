from ament_pep257.main import main


def test_the_docstrings_pass_ament_pep257():
    # D417 wants a line of its own for each parameter; ours may share one with its neighbour.
    assert main(argv=['.', '--add-ignore', 'D417']) == 0
