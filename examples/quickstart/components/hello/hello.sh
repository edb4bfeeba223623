#!/bin/sh
# The path goes through `current`, so it stays the same from release to release.
. "{{ component.path }}/hello.conf"
echo "$greeting from $host"
