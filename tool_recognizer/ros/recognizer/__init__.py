"""The parts of the node ``/tool_recognizer``: each keeps one promise, and the node wires them."""
