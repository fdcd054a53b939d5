"""Theory and decisions: values in, values out; no clock, no thread, no file and no ROS."""
