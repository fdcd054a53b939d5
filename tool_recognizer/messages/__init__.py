"""ROS messages read into core values, live or from a bag, by their fields alone; no rclpy."""
