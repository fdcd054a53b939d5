"""rosbag2 files, in and out; what a recording means is the business of replaying."""
