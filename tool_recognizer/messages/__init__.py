"""ROS messages read into core values, known by their fields alone: no rclpy, live or in a bag."""
