"""rosbag2 files, in and out; ``replaying`` evaluates what is in them."""
