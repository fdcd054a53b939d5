#!/usr/bin/env bash
# Run a command with ROS 2 and this package.
set -eo pipefail
source /opt/ros/jazzy/setup.bash
source /opt/tool_recognizer/install/setup.bash
exec "$@"
