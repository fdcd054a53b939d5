"""What is wrong with a running recognizer, and what mends it: facts in, findings out; no ROS."""
