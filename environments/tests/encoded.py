"""Reads JSON, YAML, TOML and INI with Python's parsers, and gives what they read as JSON."""

import configparser
import json
import sys

import yaml

try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib

given = json.load(sys.stdin)
ini = configparser.RawConfigParser(default_section="")
ini.optionxform = str
ini.read_string(given["ini"])
read = {
    "json": json.loads(given["json"]),
    "yaml": yaml.safe_load(given["yaml"]),
    "toml": tomllib.loads(given["toml"]),
    "ini": {name: dict(ini[name]) for name in ini.sections()},
}
json.dump(read, sys.stdout)
