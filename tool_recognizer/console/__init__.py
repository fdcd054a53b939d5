"""The operator's console without ROS: what is asked, what was answered, and the pages."""
