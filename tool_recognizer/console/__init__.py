"""The console without ROS: inspection requests, confirmations, figures, and the pages."""
